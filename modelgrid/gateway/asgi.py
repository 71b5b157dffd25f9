"""The words of ASGI, and the few things that every handler does with them.

Names are those of the ASGI specification 3.0. Nothing here knows OpenAI, models or keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

import msgspec

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Header names are lower case, as ASGI has them.
Header: TypeAlias = tuple[bytes, bytes]

JSON_TYPE: Header = (b"content-type", b"application/json")


class ClientGoneError(Exception):
    """The client closed the connection: nobody is left to answer."""


class BodyTooLargeError(Exception):
    """The request's body is longer than allowed."""


class BodyStalledError(Exception):
    """The request's body stopped coming."""


class Reply:
    """The answer to one request: started once, then its body.

    It adds the request id, and remembers what was sent for the access log. A server may drop what is sent
    to a client that has left without an error, as Granian does: watch ``receive`` to learn of it.

    Attributes:
        extra: header fields that the answer has besides its own, whatever it will be.
        status: of the started answer; 0 before that.
        started_at: when it started, by ``time.perf_counter``.
        length: bytes of body sent so far.
        finished: whether the whole answer was sent.
    """

    __slots__ = ("_leaving", "_request_id", "_send", "extra", "finished", "length", "started_at", "status")

    def __init__(self, send: Send, request_id: str, leaving: Callable[[], bool] = lambda: False) -> None:
        """While the server is *leaving*, an answer is the last on its connection (RFC 9112, 9.6)."""
        self._leaving = leaving
        self._send = send
        self._request_id = request_id.encode()
        self.extra: tuple[Header, ...] = ()
        self.status = 0
        self.started_at = 0.0
        self.length = 0
        self.finished = False

    async def start(self, status: int, headers: Iterable[Header]) -> None:
        """Send the head. Allowed once."""
        if self.status:
            raise RuntimeError("the answer has started already")
        self.status = status
        self.started_at = time.perf_counter()
        fields = [*headers, *self.extra, (b"x-request-id", self._request_id)]
        if self._leaving():
            fields.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": fields})

    async def body(self, data: bytes, *, more: bool) -> None:
        """Send the next part of the body; *more* is false for the last."""
        self.length += len(data)
        self.finished = not more
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def whole(self, status: int, headers: Iterable[Header], data: bytes) -> None:
        """Send a complete answer."""
        await self.start(status, [*headers, (b"content-length", b"%d" % len(data))])
        await self.body(data, more=False)

    async def json(self, status: int, value: object, headers: Iterable[Header] = ()) -> None:
        """Send *value* as JSON."""
        await self.whole(status, [JSON_TYPE, *headers], msgspec.json.encode(value))


async def read_body(receive: Receive, *, limit: int, patience: float) -> bytes:
    """Read the whole body; nothing of it may be used before.

    A server hands on what came before a framing error or a lost connection, and only then says
    ``http.disconnect`` (Granian does), so a part of a body is never evidence of a request.

    Raises:
        BodyTooLargeError: more than *limit* bytes came.
        BodyStalledError: nothing came for *patience* seconds.
        ClientGoneError: the client left before the body was whole.
    """
    parts: list[bytes] = []
    length = 0
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience) as deadline:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGoneError
                part = message.get("body", b"")
                length += len(part)
                if length > limit:
                    raise BodyTooLargeError
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
                if part:
                    deadline.reschedule(loop.time() + patience)
    except TimeoutError:
        raise BodyStalledError from None


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has left or the answer was sent whole. Call it after the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass
