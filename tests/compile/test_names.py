from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.compile.names import slug

MODEL_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}", fullmatch=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qwen-coder", "qwen-coder"),
        ("llama3:8b", "llama3-8b-0c9477"),
        ("Qwen/Qwen2.5-7B", "qwen-qwen2-5-7b-"),
        ("a--b", "a-b-"),
        ("GPT", "gpt-"),
    ],
)
def test_slug_keeps_plain_names_and_marks_all_others(name: str, expected: str) -> None:
    assert slug(name).startswith(expected)


@given(MODEL_NAMES)
def test_slug_is_a_valid_part_of_a_unit_name(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug(name))
    assert len(f"modelgrid-model-{slug(name)}.container") < 256


@given(MODEL_NAMES, MODEL_NAMES)
def test_names_that_differ_only_in_marks_or_case_get_different_slugs(first: str, second: str) -> None:
    similar = [first, first.upper(), first.replace(":", "-"), first.replace("-", "."), second]
    assert len({slug(name) for name in set(similar)}) == len(set(similar))
