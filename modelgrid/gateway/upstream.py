"""The client that speaks to model servers: HTTP/1.1 over kept connections, for any number of streams.

No redirects, no cookies, no proxies from the environment, no name look-ups: addresses come from the
manifest. Back-pressure: reading from a server stops while its answer waits for a slow client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from modelgrid.gateway.http1 import ProtocolError, ResponseParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from modelgrid.manifest import Upstream

#: Bytes of one answer held for a slow client before its server has to wait.
_HIGH_WATER = 256 * 1024
#: A kept connection is dropped after this many seconds: the shortest keep-alive of the engines is 5.
_KEEP = 4.0
#: Kept connections per server.
_KEEP_COUNT = 256
#: Seconds during which a server that refused a connection, or was not ready, is tried last.
_DOWN = 2.0
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait for a server, in seconds.

    Attributes:
        connect: for the TCP connection.
        first_byte: for the head of the answer; an answer that is not streamed has no byte before its last token.
        idle: between two pieces of an answer.
    """

    connect: float = 5.0
    first_byte: float = 600.0
    idle: float = 300.0


class UpstreamError(Exception):
    """The model's server gave no whole answer."""


class UnavailableError(UpstreamError):
    """It did nothing for the request, and cannot now: another may be asked."""


class UnreachableError(UnavailableError):
    """No connection: it certainly saw nothing of the request."""


class BusyError(UnavailableError):
    """It answered with status 503 (RFC 9110, 15.6.4): llama.cpp while it loads, Ollama with a full queue.

    Attributes:
        retry_after: value of that header field, as it came; empty where there was none.
    """

    def __init__(self, retry_after: bytes) -> None:
        super().__init__("it is not ready or is overloaded")
        self.retry_after = retry_after


class SilentError(UpstreamError):
    """It did not answer in time."""


class BrokenError(UpstreamError):
    """It ended the connection within the exchange, or sent what is no HTTP."""


class AbandonedError(UpstreamError):
    """The exchange was ended from our side, because the client had left."""


class Call:
    """One client's request on its way. :meth:`abandon` ends it, wherever it is."""

    __slots__ = ("abandoned", "answer", "waiter")

    def __init__(self) -> None:
        self.abandoned = False
        self.answer: Answer | None = None
        self.waiter: asyncio.Future[None] | None = None

    def abandon(self) -> None:
        """Close the connection to the server now, so that the engine stops working; where none is asked yet, wake."""
        self.abandoned = True
        if self.answer is not None:
            self.answer.fail(AbandonedError("the client left"))
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Answer:
    """The answer of a server as it comes. :meth:`read` it until it is empty; always :meth:`close` it."""

    def __init__(self, connection: _Connection, timeouts: Timeouts) -> None:
        self._connection = connection
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._parser = ResponseParser()
        self._pieces: list[bytes] = []
        self._held = 0
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._since = self._loop.time()
        self._timer = self._loop.call_later(timeouts.first_byte, self._check_time)
        self._closed = False

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._parser.status

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Header fields by lower-case name."""
        return self._parser.headers

    @property
    def length(self) -> int | None:
        """Length of the body where the head says it."""
        return self._parser.length

    @property
    def started(self) -> bool:
        """Whether any byte of the answer came."""
        return self._parser.started

    @property
    def upstream(self) -> Upstream:
        """The server that answers."""
        return self._connection.peer.upstream

    @property
    def at_end(self) -> bool:
        """Whether everything was received and read."""
        return self._parser.complete and not self._pieces

    async def ask(self, head: bytes, body: bytes, call: Call) -> None:
        """Send the request, and wait for status and header fields.

        Raises:
            UpstreamError: they did not come; the connection is closed.
        """
        call.answer = self
        try:
            if call.abandoned:
                call.abandon()
            else:
                self._connection.begin(self, head, body)
            while not self._parser.status:
                await self._more()
        except BaseException:
            self._end()
            raise
        self._timer.cancel()
        self._timer = self._loop.call_later(self._timeouts.idle, self._check_time)

    async def read(self) -> bytes:
        """The next part of the body, as much as has come; empty at its end.

        Raises:
            UpstreamError: the body ended before its end. Everything that came before was returned.
        """
        while not self._pieces:
            if self._parser.complete:
                return b""
            await self._more()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._held >= _HIGH_WATER:
            self._connection.resume_reading()
        self._held = 0
        return data

    async def collect(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            UpstreamError: it is longer than *limit*, or broke off.
        """
        parts: list[bytes] = []
        length = 0
        while data := await self.read():
            length += len(data)
            if length > limit:
                raise BrokenError("its answer is too long")
            parts.append(data)
        return b"".join(parts)

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else close it."""
        if not self._closed:
            self._end()
            self._connection.peer.leave()

    def _end(self) -> None:
        self._closed = True
        self._timer.cancel()
        self._connection.release(keep=self.at_end and self._parser.reusable and self._error is None)

    def received(self, data: bytes) -> None:
        """Take bytes from the connection."""
        try:
            body = self._parser.feed(data)
        except ProtocolError as error:
            self.fail(BrokenError(str(error)))
            return
        self._since = self._loop.time()
        if body:
            self._pieces.append(body)
            self._held += len(body)
            if self._held >= _HIGH_WATER:
                self._connection.pause_reading()
        self._wake()

    def fail(self, error: UpstreamError) -> None:
        """End the exchange: what was received can still be read, then *error* is raised."""
        if self._error is None and not self._parser.complete:
            self._error = error
            self._connection.abort()
            self._wake()

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._since = self._loop.time()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _check_time(self) -> None:
        # one timer for the whole exchange, not one per piece; while nobody waits, the client is the slow one
        limit = self._timeouts.idle if self._parser.status else self._timeouts.first_byte
        left = limit
        if self._waiter is not None:
            left = self._since + limit - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_time)
        else:
            self.fail(SilentError(f"it sent nothing for {limit:g} seconds"))


class _Connection(asyncio.Protocol):
    """A connection of a pool: serves one answer at a time."""

    def __init__(self, peer: _Peer) -> None:
        self.peer = peer
        self.idle_since = 0.0
        self._answer: Answer | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.abort()  # nobody asked: whatever it is must not be taken for the next answer
        else:
            self._answer.received(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the protocol's signature
        self._lost = True
        if self._answer is None:
            self.peer.forget(self)
        else:
            self._answer.fail(BrokenError("it closed the connection before its answer was whole"))

    @property
    def usable(self) -> bool:
        return not self._lost and self._transport is not None and not self._transport.is_closing()

    def begin(self, answer: Answer, head: bytes, body: bytes) -> None:
        self._answer = answer
        if self._transport is not None:
            self._transport.writelines((head, body) if body else (head,))

    def release(self, *, keep: bool) -> None:
        self._answer = None
        if keep and self.usable:
            self.resume_reading()
            self.peer.keep(self)
        else:
            self.abort()

    def pause_reading(self) -> None:
        if self.usable and self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self.usable and self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Peer:
    """A server, with its kept connections and its load. No connection is kept of one that is *retired*."""

    def __init__(self, upstream: Upstream, changed: Callable[[], None]) -> None:
        self.upstream = upstream
        self.in_flight = 0
        self.turn = 0
        self.down_until = 0.0
        self.retired = False
        self._changed = changed
        self._idle: deque[_Connection] = deque()

    def enter(self, turn: int) -> None:
        """Count one more request, until it leaves."""
        self.in_flight += 1
        self.turn = turn
        self._changed()

    def leave(self) -> None:
        self.in_flight -= 1
        self._changed()

    def take(self, now: float) -> _Connection | None:
        """The most recently used connection that is still good."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now - connection.idle_since < _KEEP:
                return connection
            connection.abort()
        return None

    def keep(self, connection: _Connection) -> None:
        if self.retired:
            connection.abort()
            return
        now = connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)
        while len(self._idle) > _KEEP_COUNT or now - self._idle[0].idle_since > _KEEP:
            self._idle.popleft().abort()

    def forget(self, connection: _Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().abort()


class UpstreamClient:
    """Sends requests to servers and keeps their connections. One per event loop."""

    def __init__(self, timeouts: Timeouts, *, changed: Callable[[], None] = lambda: None) -> None:
        """*changed* is called whenever the load of a server is another; it must be quick."""
        self.timeouts = timeouts
        self._changed = changed
        self._peers: dict[Upstream, _Peer] = {}
        self._turn = 0

    async def request(
        self,
        upstreams: Iterable[Upstream],
        head: Callable[[Upstream], bytes],
        body: bytes,
        *,
        call: Call,
        timeouts: Timeouts | None = None,
    ) -> Answer:
        """Send to the server with the least in flight, and wait for the head of its answer.

        Which is counted from this call on, so none of *upstreams* may have been forgotten when it is made.

        Of servers with the same load, the one not used for longest is taken. One that cannot be connected to has
        seen nothing, and one that answers with status 503 has done nothing, so the next is tried. A kept connection
        that ends before any byte of an answer was closed by the server while it was idle: once, a new one is tried.

        Raises:
            UpstreamError: no server answered, or *call* was abandoned.
        """
        limits = timeouts or self.timeouts
        failure: UnavailableError = UnreachableError("it has no server")
        for peer in self._by_load(upstreams):
            if peer.retired:  # meanwhile, and whoever looks at the load may have stopped it
                continue
            try:
                answer = await self._exchange(peer, head(peer.upstream), body, call, limits)
            except UnreachableError as error:
                # one that is there, and says when to come back, is the better reason
                failure = failure if isinstance(failure, BusyError) else error
            else:
                if answer.status != _UNAVAILABLE:
                    return answer
                failure = BusyError(answer.headers.get(b"retry-after", b""))
                answer.close()
            peer.down_until = asyncio.get_running_loop().time() + _DOWN
        raise failure

    def retain(self, upstreams: Iterable[Upstream]) -> None:
        """Forget the servers that are not among *upstreams*, once nothing is in flight there; until then it goes on."""
        wanted = set(upstreams)
        for upstream, peer in list(self._peers.items()):
            peer.retired = upstream not in wanted
            if peer.retired:
                peer.close()
                if not peer.in_flight:
                    del self._peers[upstream]

    def in_flight(self) -> dict[Upstream, int]:
        """How many requests each server is at work on, of those that have any; forgotten ones are among them."""
        return {upstream: peer.in_flight for upstream, peer in self._peers.items() if peer.in_flight}

    def close(self) -> None:
        """Close the kept connections."""
        self.retain(())

    def _by_load(self, upstreams: Iterable[Upstream]) -> list[_Peer]:
        now = asyncio.get_running_loop().time()
        peers = [self._peers.get(upstream) or self._add(upstream) for upstream in upstreams]
        if len(peers) > 1:
            peers.sort(key=lambda peer: (peer.down_until > now, peer.in_flight, peer.turn))
        return peers

    def _add(self, upstream: Upstream) -> _Peer:
        peer = self._peers[upstream] = _Peer(upstream, self._changed)
        return peer

    async def _exchange(self, peer: _Peer, head: bytes, body: bytes, call: Call, timeouts: Timeouts) -> Answer:
        self._turn += 1
        peer.enter(self._turn)  # until the answer is closed
        try:
            kept = peer.take(asyncio.get_running_loop().time())
            if kept is not None:
                answer = Answer(kept, timeouts)
                try:
                    await answer.ask(head, body, call)
                except BrokenError:
                    if answer.started:
                        raise
                else:
                    return answer
            answer = Answer(await _connect(peer, timeouts.connect), timeouts)
            await answer.ask(head, body, call)
        except BaseException:
            peer.leave()
            raise
        return answer


async def _connect(peer: _Peer, timeout: float) -> _Connection:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            _, connection = await loop.create_connection(
                lambda: _Connection(peer), peer.upstream.host, peer.upstream.port
            )
    except TimeoutError:
        raise UnreachableError(f"it took no connection within {timeout:g} seconds") from None
    except OSError as error:
        raise UnreachableError("it takes no connections") from error
    return connection
