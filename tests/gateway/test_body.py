from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.gateway.body import peek
from modelgrid.gateway.openai import ApiError
from tests.gateway.conftest import UNHURRIED

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.text(max_size=8)
    | st.sampled_from(["model", '"model":']),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "a", "}", '"']), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.text(min_size=1, max_size=20)


@UNHURRIED
@given(
    fields=st.dictionaries(st.sampled_from(["a", "b", 'c"}', "messages", "\\", "é", "{"]), VALUES, max_size=4),
    after=st.dictionaries(st.sampled_from(["x", "y", "stream"]), VALUES, max_size=2),
    name=NAMES,
    new=NAMES,
    indent=st.sampled_from([None, 0, 3]),
    ascii_only=st.booleans(),
)
def test_only_the_models_name_is_replaced(
    fields: dict[str, Any], after: dict[str, Any], name: str, new: str, indent: int | None, *, ascii_only: bool
) -> None:
    text = json.dumps({**fields, "model": name, **after}, indent=indent, ensure_ascii=ascii_only)
    body = text.encode("utf-8", "surrogatepass")

    found = peek(body)
    changed = found.with_model(new)

    assert found.model == name
    assert json.loads(changed) == {**fields, "model": new, **after}
    start = body.index(changed[: changed.index(b'"model"')])  # what is before is as it was
    assert start == 0
    assert found.with_model(name) is body


def test_every_other_byte_stays() -> None:
    body = b' {\t"n" : 1.500, "tools": [{"model":"x"}],\r\n"m\\u006fdel" :"a\\u0062" , "seed":1e3 } '

    assert peek(body).model == "ab"
    assert peek(body).with_model("engine/ü") == body.replace(b'"a\\u0062"', '"engine/ü"'.encode())


@pytest.mark.parametrize(("value", "stream"), [("true", True), ("false", False), ("null", False), ('"true"', False)])
def test_a_stream_is_asked_for_by_true_alone(value: str, *, stream: bool) -> None:
    assert peek(f'{{"model": "a", "stream": {value}}}'.encode()).stream is stream


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "a", "model": "a"}',
        b'{"model": "a", "x": 1, "x": 2}',
        b'{"model": "a", "Model": "b"}',
        b'{"model": "a", "m\\u006fdel": "b"}',
        b'{"model": "a", "\\u004dODEL": "b"}',
        b"{" + b",".join(b'"f%d": 1' % number for number in range(1000)) + b', "model": "a"}',
        b'{"model": "' + b"a" * 257 + b'"}',
        b'{"model": "a", "n": NaN}',
        b'{"model": "a",}',
        b"{'model': 'a'}",
        b'{"model": "a"} // x',
        b'\xef\xbb\xbf{"model": "a"}',
        b'{"model": "a", "x": ' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001,
        b"null",
    ],
)
def test_a_body_that_two_parsers_could_read_differently_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        peek(body)

    assert caught.value.status == 400


@UNHURRIED
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_crash_it(data: bytes) -> None:
    for body in (data, b'{"model": "a", ' + data, b'{"model": "a", "x": ' + data + b"}"):
        with contextlib.suppress(ApiError):
            assert peek(body).model
