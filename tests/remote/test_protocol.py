"""Lines between two ModelGrids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.emit.artifact import Artifact
from modelgrid.remote.protocol import Ended, Greeting, Interrupt, Message, Output, Request, decode, encode

FILES = st.builds(Artifact, path=st.text(), content=st.text(), mode=st.integers(0, 0o777))
TEXTS = st.lists(st.text()).map(tuple)
MESSAGES = st.one_of(
    st.builds(Greeting, protocol=st.integers(0, 9), version=st.text()),
    st.builds(
        Request,
        arguments=TEXTS,
        tree=st.none() | st.lists(FILES).map(tuple),
        sums=st.text(),
        weights=TEXTS,
        cache=st.text(),
    ),
    st.builds(Output, result=st.booleans(), text=st.text()),
    st.builds(Ended, code=st.integers(0, 255)),
    st.just(Interrupt()),
)


@given(MESSAGES)
def test_a_message_is_one_line_and_comes_out_as_it_went_in(message: Message) -> None:
    line = encode(message)
    assert line.index(b"\n") == len(line) - 1
    assert decode(line) == message


@given(st.binary() | st.sampled_from([b"1", b'"exit"', b"[]", b"{}", b'{"exit":"x"}', b'{"arguments":1}', b"null"]))
def test_what_is_no_message_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whatever it says: whoever reads looks for no text
        decode(line)
