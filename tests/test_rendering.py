from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.config.load import load
from modelgrid.diagnostics import Diagnostic, Location, Related, Report, Severity
from modelgrid.errors import ConfigError
from modelgrid.rendering import render_text, to_json


def report(excerpt: str, *, column: int = 1, length: int = 1) -> Report:
    location = Location(file="f.yaml", line=1, column=column, length=length, excerpt=excerpt)
    return Report((Diagnostic(code="MG2001", message="wrong", location=location),))


def test_a_diagnostic_looks_like_a_compilers() -> None:
    document = load("version: 1\nmodels:\n  qwen: {}\n", file="grid.yaml")
    shown = Report(
        (
            Diagnostic(
                code="MG2002",
                message='key "engine" is missing',
                path=("models", "qwen", "engine"),
                location=document.key(("models", "qwen")),
                hint="Engine that serves it",
            ),
            Diagnostic(code="MG3017", message="no model uses it", severity=Severity.WARNING, path=("engines", "a")),
        )
    )

    assert (
        render_text(shown)
        == """\
error[MG2002]: key "engine" is missing
 --> grid.yaml:3:3 at $.models.qwen.engine
  |
3 |   qwen: {}
  |   ^^^^
  = hint: Engine that serves it

warning[MG3017]: no model uses it
 --> at $.engines.a"""
    )


def test_a_related_place_is_shown_below_the_fault() -> None:
    item = Diagnostic(
        code="MG3036",
        message="not allowed",
        location=Location(file="grid.yaml", line=9, column=3, excerpt="  a: {}"),
        related=(
            Related(
                location=Location(file="list.json", line=12, column=2, length=3, excerpt="[abc]"), message="the rule"
            ),
        ),
        hint="ask",
    )

    assert (
        render_text(Report((item,)))
        == """\
error[MG3036]: not allowed
  --> grid.yaml:9:3
   |
 9 |   a: {}
   |   ^
  --> list.json:12:2: the rule
   |
12 | [abc]
   |  ^^^
   = hint: ask"""
    )


def test_files_are_reported_one_after_the_other() -> None:
    def at(file: str, line: int) -> Diagnostic:
        return Diagnostic(code="MG2001", message="x", location=Location(file=file, line=line, column=1))

    report = Report.of([at("z", 2), at("a", 1), at("z", 1), Diagnostic(code="MG1003", message="x")])

    assert [str(item.location) for item in report] == ["None", "z:1:1", "z:2:1", "a:1:1"]


def lines_of(text: str) -> tuple[str, str]:
    """Return the excerpt and the carets of the only diagnostic."""
    lines = text.splitlines()
    return lines[3].partition("| ")[2], lines[4].partition("| ")[2]


@pytest.mark.parametrize(
    ("excerpt", "column", "length", "shown", "marks"),
    [
        ("abc", 2, 1, "abc", " ^"),
        ("漢字: x", 5, 1, "漢字: x", "      ^"),
        ("漢字: x", 1, 2, "漢字: x", "^^^^"),
        ("e\u0301: x", 5, 1, "e\u0301: x", "   ^"),
        ("a:\tb", 4, 1, "a: b", "   ^"),
        ("a\x1b[31mb", 2, 1, "a\ufffd[31mb", " ^"),
        ("a\ud800b", 3, 1, "a\ufffdb", "  ^"),
        ("abc", 4, 1, "abc", "   ^"),
        ("abc", 9, 5, "abc", "   ^"),
        ("abc", 2, 99, "abc", " ^^"),
        ("  abc  ", 3, 3, "  abc", "  ^^^"),
    ],
)
def test_the_caret_stands_under_the_fault(excerpt: str, column: int, length: int, shown: str, marks: str) -> None:
    text = render_text(report(excerpt, column=column, length=length))

    assert lines_of(text) == (shown, marks)


@pytest.mark.parametrize("column", [1, 41, 42, 5000, 9990])
def test_a_long_line_is_cut_to_what_is_around_the_fault(column: int) -> None:
    line = "".join(chr(ord("a") + i % 26) for i in range(10_000))
    shown, marks = lines_of(render_text(report(line, column=column, length=3)))

    assert len(shown) <= 102
    start = marks.index("^")
    assert shown[start : start + 3] == line[column - 1 : column + 2]
    assert shown.startswith("…") is (column > 41)


def test_a_fault_longer_than_the_window_is_marked_as_far_as_it_is_shown() -> None:
    shown, marks = lines_of(render_text(report("x" * 500, column=1, length=500)))

    assert shown == "x" * 100 + "…"
    assert marks == "^" * 100


def test_colour_is_only_added_when_asked_for() -> None:
    plain, coloured = render_text(report("abc")), render_text(report("abc"), colour=True)

    assert "\x1b" not in plain
    assert "\x1b[1;31merror[MG2001]\x1b[0m" in coloured


@pytest.mark.parametrize("colour", [False, True])
def test_no_secret_and_no_control_character_is_printed(colour: bool) -> None:  # noqa: FBT001  a parameter of the test
    secret = "hf_abcdefghijKLMNOPQRST"
    location = Location(file="a\n\x1b[2J", line=1, column=1)
    item = Diagnostic(code="MG2001", message=f"{secret}\r", path=(secret,), location=location, hint=f"{secret}\x07")
    texts = [render_text(Report((item,)), colour=colour), to_json(Report((item,)))]

    for text in texts:
        assert secret not in text
        assert not set(text) & set("\r\x07")
        assert "\x1b[2J" not in text


def test_json_has_every_field() -> None:
    item = Diagnostic(
        code="MG2001",
        message="wrong",
        path=("models", "a b", 0),
        location=Location(file="f", line=2, column=3, length=4, excerpt="not in it"),
        related=(Related(location=Location(file="g", line=5, column=6, length=7), message="the rule"),),
    )

    assert json.loads(to_json(Report((item,)))) == {
        "diagnostics": [
            {
                "code": "MG2001",
                "severity": "error",
                "message": "wrong",
                "hint": None,
                "path": '$.models["a b"][0]',
                "file": "f",
                "line": 2,
                "column": 3,
                "length": 4,
                "related": [{"message": "the rule", "file": "g", "line": 5, "column": 6, "length": 7}],
            }
        ],
        "errors": 1,
        "warnings": 0,
    }


ANY = st.text(st.characters(exclude_categories=[]), max_size=150)
PLACES = st.builds(
    Location,
    file=ANY,
    line=st.integers(-5, 10**9),
    column=st.integers(-5, 300),
    length=st.integers(-5, 300),
    excerpt=ANY,
)


@given(
    st.builds(
        Diagnostic,
        code=ANY,
        message=ANY,
        path=st.lists(ANY | st.integers()).map(tuple),
        hint=st.none() | ANY,
        severity=st.sampled_from(Severity),
        location=st.none() | PLACES,
        related=st.lists(st.builds(Related, location=PLACES, message=ANY), max_size=2).map(tuple),
    )
)
def test_nothing_makes_rendering_fail(item: Diagnostic) -> None:
    for text in (render_text(Report((item,))), render_text(Report((item,)), colour=True), to_json(Report((item,)))):
        text.encode("utf-8")


def test_the_error_of_the_loader_can_be_rendered() -> None:
    with pytest.raises(ConfigError) as caught:
        load(b"a: [\n", file="f.yaml")

    assert caught.value.report is not None
    assert render_text(caught.value.report).startswith("error[MG1002]: ")
