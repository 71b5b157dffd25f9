from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.gateway.http1 import HEAD_LIMIT, ProtocolError, ResponseParser, request_head
from modelgrid.manifest import Upstream
from tests.gateway.conftest import UNHURRIED

TOKEN = st.text("abcdefghijklmnop-", min_size=1, max_size=12).map(lambda text: "x-" + text)
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A valid answer, and its body."""
    body = draw(st.binary(max_size=300))
    head = "HTTP/1.1 200 OK\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in draw(st.lists(st.tuples(TOKEN, VALUE), max_size=4))
    )
    if draw(st.booleans()):
        head = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + head
    if draw(st.booleans()):
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, body
    wire = f"{head}Transfer-Encoding: Chunked\r\n\r\n".encode()
    at = 0
    while at < len(body):
        size = draw(st.integers(1, len(body) - at))
        extension = draw(st.sampled_from([b"", b";a=b", b" ; c"]))
        wire += b"%x%b\r\n%b\r\n" % (size, extension, body[at : at + size])
        at += size
    return wire + b"0\r\n" + draw(st.sampled_from([b"", b"x-trailer: 1\r\n"])) + b"\r\n", body


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=20)))
    ends = [0, *places, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def parse(*parts: bytes) -> tuple[ResponseParser, bytes]:
    parser = ResponseParser()
    return parser, b"".join([parser.feed(part) for part in parts])


@UNHURRIED
@given(st.data())
def test_any_cut_of_the_same_bytes_gives_the_same_answer(data: st.DataObject) -> None:
    wire, body = data.draw(answers())
    parser, found = parse(*data.draw(cut(wire)))
    whole, _ = parse(wire)

    assert found == body
    assert (parser.status, parser.complete, parser.reusable) == (200, True, True)
    assert parser.headers == whole.headers


@UNHURRIED
@given(st.data())
def test_an_answer_is_complete_with_its_last_byte_and_not_before(data: st.DataObject) -> None:
    wire, _ = data.draw(answers())

    assert not parse(wire[:-1])[0].complete
    assert parse(wire[:-1], wire[-1:])[0].complete


@UNHURRIED
@given(st.data())
def test_any_cut_of_bad_bytes_fails_alike(data: st.DataObject) -> None:
    wire, _ = data.draw(answers())
    at = data.draw(st.integers(0, len(wire) - 1))
    bad = wire[:at] + data.draw(st.binary(min_size=1, max_size=3)) + wire[at + 1 :]

    def outcome(*parts: bytes) -> tuple[object, ...]:
        parser = ResponseParser()
        body = b""
        try:
            for part in parts:
                body += parser.feed(part)
        except ProtocolError as error:
            return (str(error),)
        return (parser.status, parser.headers, parser.complete, parser.reusable, body)

    assert outcome(*data.draw(cut(bad))) == outcome(bad)


@UNHURRIED
@given(st.binary(max_size=400))
def test_no_bytes_crash_the_parser(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"):
        try:
            parse(start + data)
        except ProtocolError:
            continue


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n folded: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nx: a\x00b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nx: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\nx: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 600 Odd\r\nContent-Length: 1\r\n\r\n",
        "HTTP/2 200\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1  200 OK\r\nContent-Length: 1\r\n\r\n",
        "ICY 200 OK\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + "x: y\r\n" * 200 + "\r\n",
        "HTTP/1.1 200 OK\r\nx: " + "y" * HEAD_LIMIT,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + "x" * 2000,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + "x: y\r\n" * 5000,
    ],
)
def test_an_answer_that_two_readers_could_read_differently_is_refused(head: str) -> None:
    with pytest.raises(ProtocolError):
        parse(head.encode())


@pytest.mark.parametrize(
    ("wire", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive, Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", False),
    ],
)
def test_a_connection_is_kept_only_where_nothing_else_can_be_on_it(wire: bytes, *, reusable: bool) -> None:
    parser, body = parse(wire)

    assert (parser.complete, parser.reusable, body) == (True, reusable, b"")


def test_a_status_without_a_reason_is_read() -> None:
    assert parse(b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n")[0].status == 200


def test_the_head_of_a_request_names_an_ipv6_host_in_brackets() -> None:
    head = request_head("POST", "/v1/x", Upstream(host="::1", port=9), length=3, fields=((b"a", b"b"),))

    assert head == b"POST /v1/x HTTP/1.1\r\nhost: [::1]:9\r\nuser-agent: modelgrid\r\ncontent-length: 3\r\na: b\r\n\r\n"
