from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.gateway import sse
from modelgrid.gateway.sse import EventCutter
from tests.gateway.conftest import UNHURRIED

EVENTS = st.lists(st.sampled_from([b"data: 1", b"\n", b"\r\n", b"\r", b"\n\n", b": x", b"d"]), max_size=20).map(
    b"".join
)


def cut_with(data: bytes, sizes: list[int]) -> tuple[bytes, bytes]:
    """What was let through, and what was held at the end."""
    cutter = EventCutter()
    sent = b""
    at = 0
    for size in [*sizes, len(data)]:
        sent += cutter.feed(data[at : at + size])
        at += size
    return sent, cutter.rest()


@UNHURRIED
@given(EVENTS, st.lists(st.integers(1, 5), max_size=40))
def test_no_byte_is_changed_lost_or_moved(data: bytes, sizes: list[int]) -> None:
    sent, held = cut_with(data, sizes)

    assert sent + held == data


@UNHURRIED
@given(EVENTS, st.lists(st.integers(1, 5), max_size=40))
def test_what_is_let_through_ends_with_an_event_however_it_was_cut(data: bytes, sizes: list[int]) -> None:
    sent, _ = cut_with(data, sizes)

    assert sent == b"" or sent.endswith((b"\n\n", b"\n\r\n", b"\r\r"))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"])
def test_a_whole_event_is_let_through_at_once(end: bytes) -> None:
    for size in range(1, 12):
        assert cut_with(b"data: 1" + end + b"data: 2", [size] * 20) == (b"data: 1" + end, b"data: 2")


def test_an_event_of_any_length_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "_LIMIT", 100)
    cutter = EventCutter()

    assert cutter.feed(b"x" * 100) == b""
    assert cutter.feed(b"x") == b"x" * 101
    assert cutter.rest() == b""
