"""What is made to be slow is not: bombs, and texts that make the most of each pattern and comparison."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from modelgrid.config.load import MAX_SIZE
from modelgrid.config.nodes import MAX_DEPTH
from tests.config.fuzzing import ROOT
from tests.config.reading import check_text, read
from tests.config.test_fuzz import go_through

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CORPUS = ROOT / "tests/config/corpus"
EXAMPLES = sorted((ROOT / "examples").glob("*/modelgrid.yaml"))

#: Seconds of the processor, and memory in KiB, that no text takes: several times what the worst does.
MOST_SECONDS = 20
MOST_MEMORY = 1024**2


@pytest.mark.parametrize("file", sorted(CORPUS.iterdir()), ids=lambda file: str(file.name))
def test_kept_inputs_are_read_or_refused(file: Path) -> None:
    go_through(file.read_bytes())


MODEL = "version: 1\nmodels:\n  a: {engine: vllm, source: /x"
KEY = "version: 1\nmodels: {a: {engine: vllm, source: /x}}\ngateway:\n  keys:\n"

HOSTILE = {
    # small files that make the most of each pattern, comparison and union of the schema
    "size": f"{MODEL}, vram: {'1' * 1_000_000}GiB}}",
    "size without a unit": f"{MODEL}, vram: {'1' * 1_000_000}x}}",
    "duration": f"{MODEL}, start_timeout: {'1m' * 500_000}x}}",
    "long duration": f"{MODEL}, start_timeout: {'1' * 1_000_000}m}}",
    "version": f"version: 1\ntarget: {{podman: '{'1.' * 500_000}'}}\n",
    "address": f"version: 1\ngateway: {{listen: '{'1:' * 500_000}'}}\n",
    "port": f"version: 1\ngateway: {{listen: '127.0.0.1:{'1' * 1_000_000}'}}\n",
    "subnet": f"version: 1\nnetwork: {{subnet: '10.0.0.0/{'1' * 1_000_000}'}}\n",
    "image": f"{MODEL}, image: '{'a/' * 500_000}!'}}",
    "repository": f"version: 1\nmodels: {{a: {{engine: vllm, source: 'hf://{'a/' * 500_000}'}}}}",
    "package": f"version: 1\nmodels: {{a: {{engine: vllm, source: 'package://{'a.' * 500_000}'}}}}",
    "parts of a file": "version: 1\nmodels: {a: {engine: llamacpp, source: /x-00001-of-99999.gguf}}",
    "sets in a pattern": f"{KEY}  - {{name: k, sha256: '{'0' * 64}', models: ['{'[a-' * 100_000}']}}",
    "stars in a pattern": f"{KEY}  - {{name: k, sha256: '{'0' * 64}', models: ['{'*a' * 60}b']}}",
    "patterns": KEY + "".join(f"  - {{name: k{n}, sha256: '{n:064x}', models: ['*{n}b']}}\n" for n in range(10_000)),
    "unions": f"{MODEL}, args: {{{','.join(f'k{n}: [[], {{}}]' for n in range(20_000))}}}}}",
    "lists in a union": f"{MODEL}, args: {{k: [{'[],' * 90_000}]}}}}",
    "unknown keys": f"version: 1\n{''.join(f'{chr(107) * 200}{n}: 1{chr(10)}' for n in range(40_000))}",
    "unknown engines": "version: 1\nmodels:\n" + "".join(f"  m{n}: {{engine: v{n}}}\n" for n in range(20_000)),
    "unknown servers": "version: 1\nservers:\n"
    + "".join(f"  s{n}{'a' * 25}: {{engine: vllm}}\n" for n in range(990))
    + "models:\n"
    + "".join(f"  m{n}: {{server: x{n}{'a' * 25}}}\n" for n in range(10_000)),
    "GPUs": f"{MODEL}, gpus: [{'1,' * 90_000}]}}",
    "options": f"{MODEL}, args: [{'--api-key,' * 90_000}]}}",
    "stand-ins": f"{MODEL}, fallback: [{'a,' * 90_000}]}}",
    "one line": f"version: 1\nmodels: {{{','.join(f'm{n}: {{engine: vlmm, zz: 1}}' for n in range(10_000))}}}",
    "aliases": "version: 1\nx-a: &a x\nx-b: [" + "*a," * 99_990 + "]\n",
    "unknown aliases": "x-a: [" + "*q," * 90_000 + "]\n",
    "deep unknown aliases": "x-a: " + "".join(f"&a{n} [" for n in range(97)) + "*z," * 90_000 + "]" * 97,
    "merges in a row": "x-0: &a0 {k0: 1}\n"
    + "".join(f"x-{n}: &a{n} {{<<: *a{n - 1}, k{n}: 1}}\n" for n in range(1, 400)),
    "merges of one": "x-a: &a {k: 1}\nx-b: {<<: [" + "*a, " * 90_000 + "]}\n",
    "more and more indented": "x-a:\n" + "".join(" " * n + "- \n" for n in range(1, 3000)),
    "closed brackets": "[" * 100_000 + "]" * 100_000,
    "tag": f"%TAG ! {'a' * 1_000_000}\n---\na: 1\n",
    "directive": f"%YAML 1.{'1' * 100_000}\n---\na: 1\n",
    # files of 10 MiB
    "brackets": "[" * MAX_SIZE,
    "keys": "a: " * 3_000_000,
    "lines of keys": "a:\n" * 3_000_000,
    "faults": "a: [" + "on, " * 2_600_000,
    "models": "models:\n" + "".join(f"  m{n}: {{engine: vllm, source: /{'x' * 390}}}\n" for n in range(25_000)),
    "lone line ends": "#\r" * 5_000_000,
    "zeros": "\0" * MAX_SIZE,
    "combining": "a" + "\u0301" * 5_000_000 + ": 1",
    "escaped": 'a: "' + "\\x41" * 2_500_000 + '"',
    "written out": "# " + "hf_0123456789abcdefghij " * 400_000 + "\na: on",
    "names of secrets": "a: on # " + 'KEY: "' * 1_700_000,
    "keys in PEM": "# " + "-----BEGIN A PRIVATE KEY-----" * 350_000 + "\na: on",
    "spaces": "a: on # TOKEN" + " " * 10_000_000 + "x",
    "bearer": "# " + "bearer " * 1_400_000 + "\na: on",
    "web tokens": "# " + "eyJaaaaaaaa.eyJ" * 650_000 + "\na: on",
    "long names": "a: on # " + "A_TOKEN" * 1_400_000,
}

MEASURED = """
import sys, time
from tests.config.test_fuzz import go_through
data = sys.stdin.buffer.read()
start = time.process_time()
go_through(data)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(time.process_time() - start, peak)
"""


@pytest.mark.tools
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_take_little_time_and_memory(text: str) -> None:
    data = text.encode()[:MAX_SIZE]
    ran = subprocess.run([sys.executable, "-c", MEASURED], input=data, capture_output=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr.decode()
    seconds, peak = map(float, ran.stdout.split())

    assert seconds < MOST_SECONDS
    assert peak < MOST_MEMORY


def nested(depth: int) -> str:
    """A sound file with lists *depth* deep: the file itself is the first."""
    return f"version: 1\nmodels: {{a: {{engine: vllm, source: /x}}}}\nx-a: {'[' * (depth - 1)}1{']' * (depth - 1)}\n"


def test_nesting_of_100_is_read_and_of_101_is_not() -> None:
    config, report = check_text(nested(MAX_DEPTH))

    assert config is not None
    assert not report

    config, report = check_text(nested(MAX_DEPTH + 1))

    assert config is None
    assert [item.code for item in report] == ["MG1005"]


def test_a_file_of_just_10_mib_is_read() -> None:
    text = "version: 1\nmodels: {a: {engine: vllm, source: /x}}\n# "
    config, report = check_text(text + "x" * (MAX_SIZE - len(text)))

    assert config is not None
    assert not report


FORMS = {
    "BOM": lambda text: "\ufeff" + text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "BOM and CRLF": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_marks_and_line_ends_change_nothing(example: Path, form: Callable[[str], str]) -> None:
    text = example.read_text(encoding="utf-8")
    plain, _ = read(text)
    other, _ = read(form(text).encode())

    assert plain is not None
    assert other is not None
    assert plain.data == other.data


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a: {b: [{c: on}]}", ("a", "b", 0, "c")),
        ("a: {1.5: {c: on}}", ("a",)),
        ("a: {b: 1, b: {c: on}}", ("a", "b")),
        ("a: {<<: {c: on}}", ("a",)),
        ("a: {? [on] : 1}", ("a",)),
    ],
)
def test_the_path_of_a_fault_is_one_that_the_data_has(text: str, path: tuple[str | int, ...]) -> None:
    _, report = read(text)

    assert path in [item.path for item in report if item.code == "MG1011"]


def test_what_is_empty_at_the_end_is_placed_in_the_last_line() -> None:
    _, report = read("%YAML 1.2\n---")

    (item,) = report
    assert item.location is not None
    assert (item.location.line, item.location.column) == (2, 4)
