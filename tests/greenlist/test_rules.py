from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.greenlist import read_rules
from modelgrid.rendering import render_text
from tests.greenlist.lists import GIB, greenlist, rule

RULE = '{"name": "a", "container": "ollama", "minVram": 8}'
START = '{"version": "1.0", "models": '


def with_rule(text: str) -> str:
    """A list whose only rule is *text*, on line 2."""
    return f"{START}[\n{text}]}}"


#: (text, code, line, column, part of the message or hint). One fault each.
FAULTY = [
    # not JSON
    ("", "MG3033", 1, 1, "empty"),
    ("version: 1", "MG3033", 1, 1, "not JSON"),
    ("[]", "MG3033", 1, 1, "no JSON object"),
    ("8", "MG3033", 1, 1, "no JSON object"),
    ("{'version': 1}", "MG3033", 1, 2, "not JSON"),
    (f"{START}[{RULE}]", "MG3033", 1, 81, "not JSON"),
    (f"{START}[]}} x", "MG3033", 1, 34, "not JSON"),
    (f"{START}[]}} # a comment", "MG3033", 1, 34, "not JSON"),
    (f'{START}[\r\n{{"name": "a\nb"}}]}}', "MG3033", 2, 12, "not JSON"),
    (with_rule(RULE.replace("8", "NaN")), "MG3033", 2, 49, "NaN"),
    (with_rule(RULE.replace("8", "-Infinity")), "MG3033", 2, 49, "-Infinity"),
    (with_rule(RULE.replace("8", "8" * 5000)), "MG3033", 2, 49, "too many digits"),
    ("[" * 100_000, "MG3033", 1, 1, "nested"),
    (f"{START}[\n{'8,' * 100_000}8]}}", "MG1003", 2, 199_995, "more than 100000 values"),
    (f"{START}[]}}".replace("models", "mod\u202eels"), "MG1008", 1, 24, "U+202E"),
    # keys
    (f'{START}[], "x-note": 1}}', "MG3034", 1, 34, '"x-note"'),
    (
        f'{START}[\n{{"name": "a", "container": "ollama", "minVRAM": 8, "minVram": 8}}]}}',
        "MG3034",
        2,
        38,
        'write "minVram"',
    ),
    (f'{START}[{RULE}], "models": []}}', "MG1009", 1, 84, "line 1 already"),
    ('{"version": "1.0"}', "MG3034", 1, 1, '"models"'),
    ('{"models": []}', "MG3034", 1, 1, '"version"'),
    (f'{START}[\n\n  {{"name": "a", "container": "ollama"}}]}}', "MG3034", 3, 3, '"minVram"'),
    # values
    ('{"version": "2.0", "models": 5}', "MG3034", 1, 13, "2.0"),
    ('{"version": 1.0, "models": []}', "MG3034", 1, 13, '"version": "1.0"'),
    (f"{START}{{}}}}", "MG3034", 1, 30, "a list of rules"),
    (f"{START}[\n5]}}", "MG3034", 2, 1, "a rule"),
    (with_rule(json.dumps(rule(""))), "MG3034", 2, 10, "empty"),
    (with_rule(json.dumps(rule("a\u202e"))), "MG3034", 2, 10, "cannot be seen"),
    (with_rule(json.dumps(rule("\ud800"))), "MG3034", 2, 10, "cannot be seen"),
    (with_rule(json.dumps(rule("a", "a\n"))), "MG3034", 2, 28, "cannot be seen"),
    (with_rule(RULE.replace('"a"', "null")), "MG3034", 2, 10, "null"),
    (with_rule(RULE.replace('"ollama"', '["ollama"]')), "MG3034", 2, 15, "a list"),
    (with_rule(RULE.replace("8", '"8GiB"')), "MG3034", 2, 49, "a number of GiB"),
    (with_rule(RULE.replace("8", "true")), "MG3034", 2, 49, "a number of GiB"),
    (with_rule(RULE.replace("8", "-1")), "MG3034", 2, 49, "from 0"),
    (with_rule(RULE.replace("8", "1e999")), "MG3034", 2, 49, "from 0"),
    (with_rule(RULE.replace("8", "8589934592")), "MG3034", 2, 49, "from 0"),
    (f"{START}[\n{RULE},\n{RULE}]}}", "MG3035", 3, 10, "as rule 1"),
]


@pytest.mark.parametrize(("text", "code", "line", "column", "part"), FAULTY)
def test_a_fault_of_the_list_is_reported_once_at_its_place(
    text: str, code: str, line: int, column: int, part: str
) -> None:
    rules, report = read_rules(text.encode("utf-8"), file="list.json")

    assert rules is None
    assert [(item.code, str(item.location)) for item in report] == [(code, f"list.json:{line}:{column}")]
    assert part in render_text(report)


def test_a_comma_before_a_closing_bracket_is_not_json() -> None:
    rules, report = read_rules(f"{START}[\n{RULE},\n]}}".encode(), file="list.json")

    assert rules is None
    # which of the two characters is shown depends on the version of Python
    assert [(item.code, item.location.line in {2, 3}) for item in report if item.location] == [("MG3033", True)]


@pytest.mark.parametrize("data", [b'{"version": "\xff"}', greenlist(rule()).encode("utf-16")])
def test_a_list_is_utf8(data: bytes) -> None:
    rules, report = read_rules(data, file="list.json")

    assert rules is None
    assert [item.code for item in report] == ["MG1001"]


def test_every_fault_is_reported_at_once() -> None:
    text = greenlist(rule(vram=-1), {"nam": "a"}, rule("b"), rule("b"), 7)
    _, report = read_rules(text.encode(), file="list.json")

    assert [(item.code, item.location.line) for item in report if item.location] == [
        ("MG3034", 2),  # minVram
        ("MG3034", 3),  # nam
        ("MG3034", 3),  # name, container, minVram are missing
        ("MG3034", 3),
        ("MG3034", 3),
        ("MG3035", 5),
        ("MG3034", 6),
    ]


def test_of_very_many_faults_the_first_are_reported() -> None:
    _, report = read_rules(greenlist(*[1] * 5000).encode(), file="list.json")

    assert len(report.errors) == 101
    assert "MG2008" in {item.code for item in report}


@pytest.mark.parametrize(
    "text",
    [
        greenlist(rule(), rule(container="llamacpp", vram=0)),
        "\ufeff" + greenlist(rule(), rule(container="llamacpp", vram=0)),
        json.dumps({"models": [rule(), rule(container="llamacpp", vram=0.0)], "version": "1.0"}, indent="\t"),
        greenlist(rule(), rule(container="llamacpp", vram=0)).replace("\n", "\r\n").replace("a3", "\\u00613"),
        greenlist(rule(vram=8.0), rule(container="llamacpp", vram=0)).replace("8.0", "0.8E1"),
    ],
)
def test_a_list_in_any_spelling_of_json_is_read(text: str) -> None:
    rules, report = read_rules(text.encode("utf-8"), file="list.json")

    assert not report
    assert rules is not None
    assert {key: item.memory for key, item in rules.by_model.items()} == {
        ("llama3:8b", "ollama"): 8 * GIB,
        ("llama3:8b", "llamacpp"): 0,
    }


def test_the_form_in_the_document_and_in_the_example_is_read() -> None:
    root = Path(__file__).parents[2]
    block = (root / "docs/greenlist.md").read_text("utf-8").partition("```json\n")[2].partition("```")[0]
    for text in (block, (root / "examples/greenlist/greenlist.json").read_text("utf-8")):
        rules, report = read_rules(text.encode("utf-8"), file="list.json")
        assert not report
        assert rules is not None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "container", "minVram", "models", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)
LISTS = st.fixed_dictionaries(
    {"version": st.just("1.0") | VALUES, "models": st.lists(st.builds(rule, st.text(), st.text(), VALUES)) | VALUES}
)


@given(LISTS | VALUES, st.integers(0, 3))
def test_any_json_is_read_or_reported_with_its_place(data: object, indent: int) -> None:
    rules, report = read_rules(json.dumps(data, indent=indent).encode(), file="list.json")

    assert (rules is None) == bool(report)
    assert all(item.location is not None for item in report if item.code != "MG2008")
    render_text(report)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")), st.data())
def test_any_bytes_are_read_or_reported(junk: bytes, data: st.DataObject) -> None:
    text = greenlist(rule()).encode()
    place = data.draw(st.integers(0, len(text)))
    for given_text in (junk, text[:place] + junk + text[place:], text[:place]):
        rules, report = read_rules(given_text, file="list.json")
        assert (rules is None) == bool(report)
        render_text(report)


@given(st.data())
def test_the_places_are_those_of_the_values(data: st.DataObject) -> None:
    entries = data.draw(
        st.lists(st.builds(rule, st.text('aé漢😀\\"/{}[],:', min_size=1), st.just("ollama"), st.integers(0, 99)))
    )
    names = {item["name"]: item for item in entries}
    indent = data.draw(st.none() | st.integers(0, 2))
    escaped = data.draw(st.booleans())
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = json.dumps({"version": "1.0", "models": list(names.values())}, indent=indent, ensure_ascii=escaped)
    rules, report = read_rules(text.replace("\n", end).encode("utf-8"), file="list.json")

    assert not report
    assert rules is not None
    lines = text.splitlines()
    for item in rules.by_model.values():
        for key, value in (("name", item.name), ("minVram", item.memory // GIB)):
            place = rules.place(item, key)
            found = lines[place.line - 1][place.column - 1 : place.column - 1 + place.length]
            assert json.loads(found) == value
