"""HTTP/1.1 as spoken to a model's server (RFC 9112): the request's head out, the answer's bytes in. Pure.

Strict on purpose. Where two readers could disagree about where an answer ends, the answer is refused:
both Content-Length and Transfer-Encoding, a repeated Content-Length, folded header lines, bare line ends,
and a body that ends only with the connection, which cannot be told from one that was cut off.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.gateway.asgi import Header
    from modelgrid.manifest import Upstream

HEAD_LIMIT = 64 * 1024
_FIELDS_LIMIT = 128
_CHUNK_LINE_LIMIT = 1024
_TRAILER_LIMIT = 16 * 1024

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00\r\n]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")

#: In the place of an index: more bytes are needed first.
_MORE = -1

#: Fields whose repetition would make the meaning of an answer a matter of taste.
_ONCE = frozenset({b"content-length", b"transfer-encoding", b"content-type"})


class ProtocolError(Exception):
    """The server's bytes are no HTTP/1.1 answer that can be trusted."""


def request_head(
    method: str, path: str, upstream: Upstream, *, length: int = 0, fields: tuple[Header, ...] = ()
) -> bytes:
    """The head of a request. *path* and *upstream* come from the manifest, *fields* from the gateway."""
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    lines = [f"{method} {path} HTTP/1.1\r\nhost: {host}:{upstream.port}\r\nuser-agent: modelgrid\r\n".encode("ascii")]
    if method == "POST":
        lines.append(b"content-length: %d\r\n" % length)
    lines += [b"%b: %b\r\n" % field for field in fields]
    lines.append(b"\r\n")
    return b"".join(lines)


class ResponseParser:
    """Reads one answer to a GET or POST. The bytes may be cut anywhere.

    Attributes:
        status: 0 until the head is whole; an interim answer (1xx) is skipped.
        headers: by lower-case name; of a repeated field, the first.
        length: of the body, where the head says it.
        started: whether any byte came.
        complete: whether the answer is whole.
        reusable: whether another request may follow on the connection once the answer is complete.
    """

    __slots__ = (
        "_buffer",
        "_left",
        "_step",
        "_trailer",
        "complete",
        "headers",
        "length",
        "reusable",
        "started",
        "status",
    )

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.length: int | None = None
        self.started = False
        self.complete = False
        self.reusable = False
        # reads one element of the data at a place, adds to the body, and says where the next one begins
        self._step: Callable[[bytes, int, list[bytes]], int] = self._head
        self._buffer = b""
        self._left = 0
        self._trailer = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return those of the body among them.

        Raises:
            ProtocolError: the bytes are not to be trusted; the connection must be closed.
        """
        self.started = True
        if self._buffer:
            data = self._buffer + data
        body: list[bytes] = []
        at = 0
        while at < len(data):
            step = self._step(data, at, body)
            if step == _MORE:
                break
            at = step
        self._buffer = data[at:]
        return body[0] if len(body) == 1 else b"".join(body)

    def _head(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = data.find(b"\r\n\r\n", at, at + HEAD_LIMIT)
        if end < 0:
            if len(data) - at >= HEAD_LIMIT:
                raise ProtocolError("the head of its answer is too long")
            return _MORE
        first, *lines = data[at:end].split(b"\r\n")
        status = _STATUS_LINE.fullmatch(first)
        if not status:
            raise ProtocolError("its answer is no HTTP/1.1")
        headers = _read_fields(lines)
        code = int(status[2])
        if code == 101:  # noqa: PLR2004  Switching Protocols
            raise ProtocolError("it wants to change the protocol")
        if code >= 200:  # noqa: PLR2004  below is an interim answer: the real one follows
            connection = [token.strip().lower() for token in headers.get(b"connection", b"").split(b",")]
            self.reusable = status[1] == b"1" and b"close" not in connection
            self.headers = headers
            self.status = code
            self._choose_framing(code)
        return end + 4

    def _body(self, data: bytes, at: int, body: list[bytes]) -> int:
        end = self._take(data, at, body)
        if not self._left:
            self._finish()
        return end

    def _chunk_line(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = _line_end(data, at, _CHUNK_LINE_LIMIT)
        if end != _MORE:
            line = _CHUNK_LINE.fullmatch(data, at, end)
            if not line:
                raise ProtocolError("a chunk of its answer has no size")
            self._left = int(line[1], 16)
            self._step = self._chunk if self._left else self._trailer_line
            end += 2
        return end

    def _chunk(self, data: bytes, at: int, body: list[bytes]) -> int:
        end = self._take(data, at, body)
        if not self._left:
            self._step = self._chunk_end
        return end

    def _chunk_end(self, data: bytes, at: int, _: list[bytes]) -> int:
        found = data[at : at + 2]
        if found == b"\r":
            return _MORE
        if found != b"\r\n":
            raise ProtocolError("a chunk of its answer is longer than its size")
        self._step = self._chunk_line
        return at + 2

    def _trailer_line(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = _line_end(data, at, _TRAILER_LIMIT - self._trailer)
        if end != _MORE:
            if end == at:
                self._finish()
            elif not _FIELD.fullmatch(data, at, end):
                raise ProtocolError("its answer ends in something that is no header field")
            end += 2
            self._trailer += end - at
        return end

    def _surplus(self, data: bytes, _: int, __: list[bytes]) -> int:
        # bytes that nobody asked for: what they answer is unknown, so nothing may follow them
        self.reusable = False
        return len(data)

    def _take(self, data: bytes, at: int, body: list[bytes]) -> int:
        end = min(at + self._left, len(data))
        body.append(data[at:end])
        self._left -= end - at
        return end

    def _finish(self) -> None:
        self._step = self._surplus
        self.complete = True

    def _choose_framing(self, code: int) -> None:
        """Where the body ends (RFC 9112, 6.3)."""
        coding = self.headers.get(b"transfer-encoding")
        length = self.headers.get(b"content-length")
        if code in {204, 304}:
            self._finish()
        elif coding is not None:
            if length is not None:
                raise ProtocolError("its answer has two lengths")
            if coding.lower() != b"chunked":
                raise ProtocolError("its answer has an unknown transfer coding")
            self._step = self._chunk_line
        elif length is not None:
            if not _LENGTH.fullmatch(length):
                raise ProtocolError("the length of its answer is no number")
            self.length = self._left = int(length)
            self._step = self._body
            if not self._left:
                self._finish()
        else:
            raise ProtocolError("its answer has no length, so its end cannot be known")


def _line_end(data: bytes, at: int, limit: int) -> int:
    end = data.find(b"\r\n", at, at + limit)  # _MORE where there is none
    if end == _MORE and len(data) - at >= limit:
        raise ProtocolError("a line of its answer is too long")
    return end


def _read_fields(lines: list[bytes]) -> dict[bytes, bytes]:
    if len(lines) > _FIELDS_LIMIT:
        raise ProtocolError("its answer has too many header fields")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if not field:
            raise ProtocolError("its answer has a line that is no header field")
        name = field[1].lower()
        if name in headers:
            if name in _ONCE:
                raise ProtocolError(f"its answer repeats {name.decode()}")
            continue
        headers[name] = field[2].rstrip(b" \t")
    return headers
