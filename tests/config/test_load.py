from __future__ import annotations

import pytest
import yaml

from modelgrid.config import load as load_module
from modelgrid.config.load import load
from modelgrid.config.nodes import MAX_DEPTH, MAX_FAULTS
from modelgrid.errors import ConfigError
from tests.config.reading import FILE, places, read

LOADERS = [getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader]


@pytest.fixture(params=LOADERS, ids=["libyaml", "python"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of this file runs with both parsers of PyYAML."""
    monkeypatch.setattr(load_module, "LOADER", request.param)


#: (text, code, line, column)
UNREADABLE = [
    ("", "MG1007", 1, 1),
    ("# nothing\n", "MG1007", 1, 1),
    ("- a\n", "MG1007", 1, 1),
    ("\nhello\n", "MG1007", 2, 1),
    ("{}\n", "MG1007", 1, 1),
    (b"a: \xe9\n", "MG1001", 1, 4),
    (b"a: 1\nb\xc3\xa9: \xff\n", "MG1001", 2, 5),
    ("a: 1\n".encode("utf-16"), "MG1001", 1, 1),
    ("a: [1\n", "MG1002", 1, 4),
    ("a: {b: 1\n", "MG1002", 1, 4),
    ("a: 1\nb: [\n\n", "MG1002", 2, 4),
    ('a: "x\n', "MG1002", 1, 4),
    ("a: b: c\n", "MG1002", 1, 5),
    ("a: 1\n  b: 2\n", "MG1002", 2, 4),
    ("a: @x\n", "MG1002", 1, 4),
    ("a:\n\tb: 1\n", "MG1004", 2, 1),
    ("a:\n  b: 1\n  \tc: 1\n", "MG1004", 3, 3),
    ("a: 1\n---\nb: 2\n", "MG1006", 2, 1),
    ("a: 1\nb: \x07\n", "MG1008", 2, 4),
    ("a: 1\r\nb: \x1b[0m\r\n", "MG1008", 2, 4),
    ("a: x\u202ey\n", "MG1008", 1, 5),
    ("a: x\u2028b: 1\n", "MG1008", 1, 5),
    ("a: \ud800\n", "MG1008", 1, 4),
    ("[" * (MAX_DEPTH + 1), "MG1005", 1, MAX_DEPTH + 1),
    ("- " * (MAX_DEPTH + 1), "MG1005", 1, 2 * MAX_DEPTH + 1),
]


@pytest.mark.parametrize(("text", "code", "line", "column"), UNREADABLE)
def test_text_that_cannot_be_read_is_refused_at_its_place(text: str | bytes, code: str, line: int, column: int) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, file=FILE)

    assert caught.value.report is not None
    assert places(caught.value.report) == [(code, line, column)]


#: (text, diagnostics): the rest of the file is read all the same.
FAULTY = [
    ("a: 1\na: 2\n", [("MG1009", 2, 1)]),
    ("a:\n  b: 1\n  c: {d: 1, d: 2}\n  b: 3\n", [("MG1009", 3, 13), ("MG1009", 4, 3)]),
    ("a: [{b: 1, b: 2}]\n", [("MG1009", 1, 12)]),
    ("'a': 1\n\"a\": 2\n", [("MG1009", 2, 1)]),
    ("1: a\n", [("MG1010", 1, 1)]),
    ("true: a\n", [("MG1010", 1, 1)]),
    ("~: a\n", [("MG1010", 1, 1)]),
    ("? [a, b]\n: 1\n", [("MG1010", 1, 3)]),
    ("? {a: b}\n: 1\n", [("MG1010", 1, 3)]),
    ("a: on\n", [("MG1011", 1, 4)]),
    ("on: a\n", [("MG1011", 1, 1)]),
    ("a: [yes, 'yes', 012]\n", [("MG1011", 1, 5), ("MG1011", 1, 17)]),
    ("a: 1.10\n", [("MG1011", 1, 4)]),
    ("a: !!str x\n", [("MG1012", 1, 4)]),
    ("a: ! x\n", [("MG1012", 1, 4)]),
    ("a: !custom {b: 1}\n", [("MG1012", 1, 4)]),
    ("a: !!python/object:os.system x\n", [("MG1012", 1, 4)]),
    ("a: *b\n", [("MG1013", 1, 4)]),
    ("a: &a [*a]\n", [("MG1013", 1, 8)]),
    ("a: &a {b: *a}\n", [("MG1013", 1, 11)]),
    ("a: *b\nb: &b 1\n", [("MG1013", 1, 4)]),
    ("a: {<<: 3}\n", [("MG1014", 1, 9)]),
    ("a: {<<: [1]}\n", [("MG1014", 1, 9)]),
    ("x-a: &a {}\nb: {<<: *a, <<: *a}\n", [("MG1014", 2, 13)]),
    ('a: "\\e[31m"\n', [("MG1008", 1, 4)]),
    ('a: "\\u202e"\n', [("MG1008", 1, 4)]),
]


@pytest.mark.parametrize(("text", "expected"), FAULTY)
def test_faults_that_leave_the_rest_readable_are_all_reported(text: str, expected: list[tuple[str, int, int]]) -> None:
    document, report = read(f"{text}z: last\n")

    assert places(report) == expected
    assert document is not None
    assert document.data["z"] == "last"


def test_a_key_that_is_given_twice_names_both_lines() -> None:
    _, report = read("a: 1\nb: 2\n\na: 3\n")
    (fault,) = report

    assert "line 1" in fault.message
    assert str(fault.location) == f"{FILE}:4:1"
    assert fault.path == ("a",)


def test_a_file_with_very_many_faults_names_the_first() -> None:
    document, report = read("a: 1\n" * 1000)

    assert document is None
    assert len(report.diagnostics) == MAX_FAULTS + 1
    assert report.diagnostics[-1].code == "MG2008"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1\n", {"a": 1}),
        ("\ufeffa: 1\n", {"a": 1}),
        (b"\xef\xbb\xbfa: 1\n", {"a": 1}),
        ("a: 1\r\nb:\r\n  c: x\r\n", {"a": 1, "b": {"c": "x"}}),
        ("%YAML 1.1\n---\na: 1\n...\n", {"a": 1}),
        ("a: [x, 'on', \"012\"]\n", {"a": ["x", "on", "012"]}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("a: 'true'\nb: true\nc:\nd: ~\n", {"a": "true", "b": True, "c": None, "d": None}),
        ("日本: 漢字\n", {"日本": "漢字"}),
        ("x-a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}\n", {"d": {"b": 1, "c": 3}}),
        ("x-a: &a {b: 1}\nx-c: &c {b: 2, d: 2}\ne: {<<: [*a, *c]}\n", {"e": {"b": 1, "d": 2}}),
        ("x-a: &a [1]\nb: *a\nc: *a\n", {"b": [1], "c": [1]}),
        ("'<<': 1\n", {"<<": 1}),
        ("a: {x-own: 1, b: 2}\n", {"a": {"b": 2}}),
        ("models: {x-large: {x-own: 1}}\n", {"models": {"x-large": {}}}),
        ("m: {env: {x-a: b}, args: {x-c: 1}}\n", {"m": {"env": {"x-a": "b"}, "args": {"x-c": 1}}}),
    ],
)
def test_data_is_what_the_text_says(text: str | bytes, data: object) -> None:
    document, report = read(text)

    assert document is not None
    assert document.data == data
    assert not report


TEXT = """\
version: 1
gateway:
  keys:
    - name: 漢字 team
      models: ["a", 'b']
x-base: &base
  engine: vllm
models:
  "llama3:8b":
    <<: *base
    args: {a: 1,
      b: 2}
    source:
    env: {}
"""


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), None, (1, 1)),
        (("version",), (1, 1, 7), (1, 10, 1)),
        (("gateway",), (2, 1, 7), (3, 3)),
        (("gateway", "keys", 0), None, (4, 7)),
        (("gateway", "keys", 0, "name"), (4, 7, 4), (4, 13, 7)),
        (("gateway", "keys", 0, "models", 1), None, (5, 21, 3)),
        (("models", "llama3:8b"), (9, 3, 11), (10, 5)),
        (("models", "llama3:8b", "engine"), (7, 3, 6), (7, 11, 4)),
        (("models", "llama3:8b", "args", "b"), (12, 7, 1), (12, 10, 1)),
        (("models", "nope"), None, None),
        (("version", 0), None, None),
    ],
)
def test_every_key_and_value_has_its_place(
    path: tuple[str | int, ...], key: tuple[int, ...] | None, value: tuple[int, ...] | None
) -> None:
    document = load(TEXT, file=FILE)

    for found, expected in ((document.key(path), key), (document.value(path), value)):
        place = (found.line, found.column, found.length)[: len(expected or ())] if found else None
        assert place == expected


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("version",), "1:10"),  # a value in one piece
        (("models", "llama3:8b"), "9:3"),  # its key
        (("models", "llama3:8b", "args"), "11:5"),
        (("models", "llama3:8b", "source"), "13:5"),  # there is nothing to point at but the key
        (("models", "llama3:8b", "env"), "14:10"),
        (("models", "llama3:8b", "vram"), "9:3"),  # what it should stand in
        (("gateway", "keys", 0), "4:7"),
        (("target", "facts"), "1:1"),
    ],
)
def test_a_path_is_shown_where_a_reader_looks_for_it(path: tuple[str | int, ...], place: str) -> None:
    assert str(load(TEXT, file=FILE).locate(path)) == f"{FILE}:{place}"


def test_the_excerpt_is_the_line() -> None:
    location = load(TEXT, file=FILE).locate(("gateway", "keys", 0, "name"))

    assert location is not None
    assert location.excerpt == "    - name: 漢字 team"


def test_columns_count_characters_outside_the_first_plane_once() -> None:
    location = load("a: [🦙🦙, b]\n", file=FILE).value(("a", 1))

    assert location is not None
    assert (location.column, location.length) == (9, 1)
