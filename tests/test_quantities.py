from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.quantities import format_size, parse_duration, parse_size, write_duration, write_size


@given(st.integers(0, 2**63 - 1))
def test_a_size_is_read_as_it_was_written(size: int) -> None:
    assert parse_size(write_size(size)) == size


@given(st.integers(0, 10**10))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    assert parse_duration(write_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GiB", 8 * 1024**3), ("1.5 kB", 1500), ("0B", 0), ("80GB", 80 * 1000**3), ("0.5MiB", 512 * 1024)],
)
def test_sizes_have_binary_and_decimal_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "8", "GiB", "8gb", "-1GiB", "8 GiB ", "1e3MB", "\u0663GiB"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="8GiB"):
        parse_size(text)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("500ms", 0.5), ("2d", 172800)])
def test_durations_add_up(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "1.5h", "10 m", "5min", "-1s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="15m"):
        parse_duration(text)


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (1536, "1.5KiB"), (48 * 1024**3, "48GiB"), (2**50, "1024TiB")])
def test_sizes_are_shown_in_a_unit_that_reads_well(size: int, text: str) -> None:
    assert format_size(size) == text
