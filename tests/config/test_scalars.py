from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.config.scalars import AmbiguousError, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-1", -1),
        ("8192", 8192),
        ("0.5", 0.5),
        ("1e-06", 1e-06),
        ("llama3:8b", "llama3:8b"),
        ("8GiB", "8GiB"),
        ("15m", "15m"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("1.2.3", "1.2.3"),
        ("2024-01-31", "2024-01-31"),
        ("--port", "--port"),
        ("-", "-"),
        ("y", "y"),
        ("n", "n"),
        ("oN", "oN"),
        ("none", "none"),
        ("Infinity", "Infinity"),
    ],
)
def test_plain_text_means_what_the_core_schema_says(text: str, value: object) -> None:
    resolved = resolve(text)

    assert (type(resolved), resolved) == (type(value), value)


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "Yes",
        "NO",
        "on",
        "OFF",
        "True",
        "FALSE",
        "Null",
        "NULL",
        "012",
        "08",
        "00",
        "-07",
        "0o17",
        "0x1F",
        "0b1",
        "1_000",
        "1:30",
        "190:20:30",
        "1:30.5",
        "1.10",
        "1.",
        ".5",
        "+5",
        "-0",
        "1e5",
        "1e999",
        ".inf",
        "-.INF",
        ".NaN",
        "9" * 41,
    ],
)
def test_what_yaml_readers_disagree_on_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(AmbiguousError) as caught:
        resolve(text)

    assert caught.value.hint


@given(st.integers(min_value=-(10**30), max_value=10**30) | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_as_python_writes_it_is_that_number(number: float) -> None:
    text = str(number)

    assert resolve(text) == number
    assert str(resolve(text)) == text


@given(st.text(alphabet="0123456789_:.+-eExXobaAfFyYnNosrtuTRUEl", max_size=12))
def test_yaml_1_1_reads_no_other_value(text: str) -> None:
    try:
        value = resolve(text)
    except AmbiguousError:
        return
    try:
        old = yaml.safe_load(f"[{text}]")
    except (yaml.YAMLError, ValueError):
        return
    if text and old and len(old) == 1 and not isinstance(old[0], str | dict):
        # what YAML 1.1 reads as something else than text, we read as the same; dates alone stay text
        assert value == old[0] or old[0].__class__.__module__ == "datetime"
