"""Clients that stream without a pause, while the test changes what serves them.

::

    with Load(address, key=key, model="gemma") as load:
        grid.apply(changed)
    assert load.stop().failures == ()

Half of the clients keep their connection, the others make one for each request. They are strict: an answer counts only
where it is a 200, ends as HTTP/1.1 ends one (RFC 9112, 7.1), has an event for each word, none that is an error, and
``[DONE]`` as the last. What they do is written out here, so that no library repeats a request that failed.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

#: Seconds after which an answer counts as one that does not end.
_LIMIT = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the clients saw.

    Attributes:
        requests: those that ended, well or not.
        failures: why those that failed did, with the second of the run in which each began.
        connections: how many were made.
        longest_wait: seconds until the first word, at most.
        longest_gap: seconds between two words of one answer, at most.
    """

    requests: int
    failures: tuple[str, ...]
    connections: int
    longest_wait: float
    longest_gap: float

    def __str__(self) -> str:
        return (
            f"{self.requests} requests on {self.connections} connections, {len(self.failures)} failed; the first word "
            f"came after {self.longest_wait:.1f} s at most, the next ones after {self.longest_gap:.1f} s"
        )

    def summary(self) -> str:
        """Return the counts, and the kinds of failures with how often each came."""
        kinds = Counter(failure.partition(": ")[2] for failure in self.failures)
        return "\n".join(
            (str(self), *(f"  {count} x {kind}" for kind, count in kinds.most_common()), *self.failures[:5])
        )


class FailedRequest(Exception):  # noqa: N818 - it reads as what happened
    """A request did not end as a client expects."""


class Load:
    """*clients* that ask *model* again and again, from the start of the ``with`` block to :meth:`stop`."""

    def __init__(
        self,
        address: str,
        *,
        key: str,
        model: str,
        clients: int = 50,
        words: int = 8,
        exact: bool = False,
        prompt: str = "Count on:",
    ) -> None:
        """Prepare. *words* are asked for at most, or have to come where *exact*."""
        self._address = address
        self._clients = clients
        self._exact = words if exact else 0
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
            "max_tokens": words,
            "temperature": 0,
        }
        self._body = json.dumps(body).encode()
        self._head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(self._body)}\r\n"
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=f"load on {model}")
        self._begun = 0.0
        self._requests = 0
        self._connections = 0
        self._failures: list[str] = []
        self._wait = 0.0
        self._gap = 0.0
        self._asked = 0.0
        self._answered = [0.0] * clients

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def failures(self) -> int:
        """How many requests have failed until now."""
        return len(self._failures)

    def has_answered_all(self, *, since: float) -> bool:
        """Whether each client has had a whole answer to a request that it began after *since* (time.monotonic)."""
        return min(self._answered) > since

    def has_asked(self, *, since: float) -> bool:
        """Whether a request was begun after *since*. :meth:`stop` waits for its answer."""
        return self._asked > since

    def stop(self) -> Counts:
        """Let every client end the request that it has, and return what they saw. May be called again."""
        self._stop.set()
        self._thread.join()
        return Counts(
            requests=self._requests,
            failures=tuple(self._failures),
            connections=self._connections,
            longest_wait=self._wait,
            longest_gap=self._gap,
        )

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(number, keeps=number % 2 == 0) for number in range(self._clients)))

    async def _client(self, number: int, *, keeps: bool) -> None:
        connection: _Connection | None = None
        while not self._stop.is_set():
            begun = self._asked = time.monotonic()
            try:
                async with asyncio.timeout(_LIMIT):
                    if connection is None or connection.was_closed():
                        connection = await self._connect()
                    stays = await self._ask(connection, keeps=keeps)
            except (OSError, EOFError, ValueError, FailedRequest) as error:
                kind = "a kept connection" if keeps else "a fresh connection"
                said = str(error) or type(error).__name__
                self._failures.append(f"second {begun - self._begun:.1f}, {kind}: {said}")
                stays = False
                # a gateway that is down would be asked a thousand times a second
                await asyncio.sleep(0.1)
            else:
                self._answered[number] = begun
            self._requests += 1
            if connection is not None and not (keeps and stays):
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    async def _connect(self) -> _Connection:
        host, _, port = self._address.rpartition(":")
        self._connections += 1
        return _Connection(*await asyncio.open_connection(host, int(port)))

    async def _ask(self, connection: _Connection, *, keeps: bool) -> bool:
        """Stream one answer. Returns whether the server keeps the connection."""
        begun = time.monotonic()
        connection.send(f"{self._head}connection: {'keep-alive' if keeps else 'close'}\r\n\r\n".encode() + self._body)
        status, headers = await connection.head()
        if status != 200:
            raise FailedRequest(f"{status} {(await connection.rest(headers)).decode(errors='replace')[:200]}")
        if "chunked" not in headers.get("transfer-encoding", ""):
            raise FailedRequest(f"no stream: {headers}")
        text = b""
        words = 0
        last = begun
        while chunk := await connection.chunk():
            now = time.monotonic()
            text += chunk
            *events, text = text.split(b"\n\n")
            for event in events:
                if b'"error"' in event:
                    raise FailedRequest(f"an error after {words} words: {event.decode(errors='replace')[:200]}")
                words += b'"content"' in event
            if events:
                if last is begun:
                    self._wait = max(self._wait, now - begun)
                else:
                    self._gap = max(self._gap, now - last)
                last, final = now, events[-1]
        if last is begun or text.strip() or final.strip() != b"data: [DONE]":
            raise FailedRequest(f"the stream ended after {words} words without [DONE]")
        if not words or (self._exact and words != self._exact):
            raise FailedRequest(f"an answer of {words} words")
        return "close" not in headers.get("connection", "")


class _Connection:
    """One connection, and what HTTP/1.1 says on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def was_closed(self) -> bool:
        """Whether the server has closed it while it was idle, which any client has to bear (RFC 9112, 9.5)."""
        return self._reader.at_eof() or self._reader.exception() is not None or self._writer.is_closing()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.lower(): value.strip().lower() for name, _, value in headers}

    async def rest(self, headers: dict[str, str]) -> bytes:
        """Return the body of an answer that is not streamed."""
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        body = b""
        while chunk := await self.chunk():
            body += chunk
        return body

    async def chunk(self) -> bytes:
        """Return the next chunk, empty for the last one."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        data = await self._reader.readexactly(size + 2)
        if not data.endswith(b"\r\n"):
            raise FailedRequest("a chunk that does not end")
        return data[:-2]

    def close(self) -> None:
        self._writer.close()
