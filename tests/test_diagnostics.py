from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.diagnostics import format_path, parse_path


@given(st.lists(st.text() | st.integers(min_value=0)).map(tuple))
def test_a_path_is_read_back(path: tuple[str | int, ...]) -> None:
    assert parse_path(format_path(path)) == path


@pytest.mark.parametrize("text", ["", "models", "$models", "$.", "$.a[", "$[x]", '$["a]', "$.a b", "a$"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        parse_path(text)
