"""No text makes the loader hang, crash or raise anything but ConfigError."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelgrid.config import load as load_module
from modelgrid.config.load import MAX_SIZE, load
from modelgrid.config.nodes import MAX_VALUES
from modelgrid.errors import ConfigError
from modelgrid.rendering import render_text, to_json
from tests.config import fuzzing
from tests.config.reading import FILE, check_text, places, read

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/modelgrid.yaml"))

#: What grammar and rules give a meaning to, so that arbitrary text gets beyond the first line.
PIECES = st.sampled_from(fuzzing.PIECES)


def bounded(text: str | bytes) -> None:
    """Read, check and render *text* within a second."""
    start = time.perf_counter()
    _, report = check_text(text)
    render_text(report)
    to_json(report)
    assert time.perf_counter() - start < HANGS


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    bounded(data)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_arbitrary_text_is_read_or_refused(text: str) -> None:
    bounded(text)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_broken_yaml_is_read_or_refused(text: str) -> None:
    bounded(text)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_examples_are_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(EXAMPLES)).read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(PIECES | st.text(max_size=3)) + text[end:]
    bounded(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_both_parsers_of_pyyaml_agree(text: str) -> None:
    results = []
    for loader in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load_module, "LOADER", loader)
            document, report = read(text)
            results.append((document and document.data, places(report)))
    in_python, in_c = results
    if in_python[0] is not None and in_c[0] is not None:
        assert in_python == in_c


#: Seconds that no input may take on any machine, however busy. How long it does take is measured in benchmarks/.
HANGS = 30

BOMBS = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "merges": "a: &a {" + ",".join(f"k{i}: 1" for i in range(999)) + "}\nb: [" + "{<<: *a}," * 999 + "]",
    "values": "a: [" + "1," * (MAX_VALUES + 1) + "]",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_aliases_and_merges_are_bounded_by_what_they_expand_to(text: str) -> None:
    start = time.perf_counter()
    document, report = read(text)

    assert document is None
    assert [item.code for item in report] == ["MG1003"]
    assert time.perf_counter() - start < HANGS


NESTED = {
    "lists": "[" * 100_000,
    "mappings": "{a: " * 100_000,
    "dashes": "- " * 100_000,
    "questions": "? " * 100_000,
    "aliases": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 400)),
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED.keys())
def test_nesting_is_bounded(text: str) -> None:
    document, report = read(text)

    assert document is None
    assert [item.code for item in report] == ["MG1005"]


def test_a_file_beyond_10_mib_is_refused_before_it_is_read() -> None:
    with pytest.raises(ConfigError) as caught:
        load(b"\xff" * (MAX_SIZE + 1), file=FILE)

    assert caught.value.report is not None
    assert [item.code for item in caught.value.report] == ["MG1003"]


LARGE = {
    "comment": "# x\n" * 2_600_000 + "a: 1",
    "one line": "a: " + "x " * 5_000_000,
    "lines": "a: |\n" + "  x\n" * 2_600_000,
    "escapes": 'a: "' + "\\n" * 5_000_000 + '"',
    "never closed": "a: '" + "x\n" * 5_000_000,
    "number": "a: " + "1_" * 5_000_000 + "x",
    "digits": "a: " + "1" * 10_000_000,
    "tab": "a: 1 # \t\n" * 1_000_000,
    "hidden": "\x01\n" * 5_000_000,
    "wide": "a: " + "漢" * 3_000_000,
    "token": "a: hf_" + "x" * 10_000_000,
    "tokens": "# " + "hf_" * 3_000_000 + "\na: 1",
    "urls": "# " + "://a:" * 2_000_000 + "\na: 1",
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE.keys())
def test_10_mib_take_time_in_proportion(text: str) -> None:
    start = time.perf_counter()
    _, report = read(text[:MAX_SIZE])
    render_text(report)

    # far above what it takes, far below what anything quadratic would
    assert time.perf_counter() - start < HANGS


@pytest.mark.parametrize("text", ["m: 1\n{}: {a: 1}", "m: 1\n? {a: 1}\n: {b: 2}", "m: [{}: {}]", "? - a\n: b: 1\n"])
def test_a_mapping_or_list_as_key_of_a_mapping_is_refused(text: str) -> None:
    _, report = read(text)

    assert "MG1010" in [item.code for item in report]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"a: 1\nb: \xff", (2, 4)),
        (b"a: 1\rb: \xff", (2, 4)),
        (b"a: 1\r\nb: \xff", (2, 4)),
        (b"\xef\xbb\xbfa: \xff", (1, 4)),
        ("a: 漢".encode() + b"\xff", (1, 5)),
    ],
)
def test_a_byte_that_is_not_utf_8_is_placed_as_characters_are(data: bytes, place: tuple[int, int]) -> None:
    _, report = read(data)

    assert places(report) == [("MG1001", *place)]


def nested(depth: int) -> str:
    return f"a: {'[' * (depth - 1)}{']' * (depth - 1)}"


#: Files at the bounds and beyond them, with the codes of what is wrong.
BOUNDS: dict[str, tuple[str | bytes, set[str]]] = {
    "100 deep": (nested(100), set()),
    "101 deep": (nested(101), {"MG1005"}),
    "10 MiB": ("version: 1\n#" + "x" * (MAX_SIZE - 12), set()),
    "10 MiB of characters": ("#" + "漢" * (MAX_SIZE // 3) + "\nversion: 1", set()),
    "brackets": ("[" * MAX_SIZE, {"MG1005"}),
    "line ends": ("\n" * MAX_SIZE, {"MG1007"}),
    "one key again and again": ("a: \n" * (MAX_SIZE // 4), {"MG1009", "MG2008"}),
    "colons": ("a: " * (MAX_SIZE // 3), {"MG1002"}),
    "documents": ("---\n" * (MAX_SIZE // 4), {"MG1006"}),
    "a long anchor": (f"&{'a' * (MAX_SIZE - 10)} b: 1", {"MG1002"}),
    "NUL": ("\0" * MAX_SIZE, {"MG1008"}),
    "100,000 models": ("models:\n" + "".join(f"  m{i}: {{}}\n" for i in range(100_000)), {"MG1003"}),
    "100,000 aliases": ("x-a: &a 1\nb: [" + "*a," * 100_000 + "]", {"MG1003"}),
    "100,000 unknown aliases": ("b: [" + "*a," * 99_000 + "]", {"MG1013", "MG2008"}),
    "merges of nothing": ("x-a: &a {}\nb: {<<: [" + "*a," * 90_000 + "]}", set()),
    "merges of merges": (
        "a0: &a0 {k0: 1}\n" + "".join(f"a{i}: &a{i} {{<<: *a{i - 1}, k{i}: 1}}\n" for i in range(1, 20_000)),
        {"MG1003"},
    ),
    "UTF-16": ("version: 1\n".encode("utf-16"), {"MG1001"}),
    "UTF-16 without a mark": ("version: 1\n".encode("utf-16-be"), {"MG1008"}),
    "UTF-32": ("version: 1\n".encode("utf-32"), {"MG1001"}),
    "Latin-1": (b"a: \xe9\n" * (MAX_SIZE // 5), {"MG1001"}),
    "CRLF": ("version: 1\r\nmodels: {}\r\n", set()),
    "CR": ("version: 1\rmodels: {}\r", set()),
    "a mark": ("\ufeffversion: 1\n", set()),
    "two marks": ("\ufeff\ufeffversion: 1\n", {"MG1008"}),
    "U+2028": ("a: b\u2028c: d", {"MG1008"}),
}


@pytest.mark.parametrize(("text", "codes"), BOUNDS.values(), ids=BOUNDS.keys())
def test_a_file_at_a_bound_is_read_and_one_beyond_it_refused(text: str | bytes, codes: set[str]) -> None:
    start = time.process_time()
    document, report = read(text)
    render_text(report)

    assert {item.code for item in report} == codes
    assert document is not None or codes
    assert time.process_time() - start < HANGS


MODELS = "version: 1\nmodels:\n"
MANY = {
    "models without an engine": MODELS + "".join(f"  m{i}: {{}}\n" for i in range(10_000)),
    "models of unknown engines": MODELS + "".join(f"  m{i}: {{engine: vlm}}\n" for i in range(8_000)),
    "unknown keys": MODELS + "".join(f"  m{i}: {{engine: vllm, souce: 1}}\n" for i in range(8_000)),
    "a long name": f"{MODELS}  ? {'x' * 5_000_000}\n  : {{engine: vllm}}\n",
    "fallbacks": f"{MODELS}  m: {{engine: vllm, fallback: [{','.join(f'a{i}' for i in range(90_000))}]}}\n",
    "secret names": f"{MODELS}  m: {{engine: vllm, env: {{{','.join(f'A{i}_TOKEN: x' for i in range(40_000))}}}}}\n",
    "secret options": f"{MODELS}  m: {{engine: vllm, args: [{'--api-key, x,' * 40_000}]}}\n",
    "secrets": "# " + "hf_0123456789abcdefghij " * 100_000 + "\nversion: 1",
    "sizes of many digits": MODELS + "".join(f"  m{i}: {{engine: vllm, vram: '{'1' * 3000}'}}\n" for i in range(1000)),
    "spans of many parts": MODELS
    + "".join(f"  m{i}: {{engine: vllm, start_timeout: '{'1m' * 1500}!'}}\n" for i in range(1000)),
    "versions": f"version: 1\ntarget: {{podman: '{'1.' * 1_000_000}'}}\n",
}


@pytest.mark.parametrize("text", MANY.values(), ids=MANY.keys())
def test_faults_beyond_number_are_told_in_bounded_time(text: str) -> None:
    start = time.process_time()
    config, report = check_text(text)
    shown = render_text(report)

    assert config is None
    assert report.errors
    assert len(tuple(report)) < 500
    assert len(shown) < 1_000_000
    assert time.process_time() - start < HANGS
