"""The clients of `tests.machine.load` count what went wrong: whatever it is, and nothing else."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.machine.load import Load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WORD = b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


WHOLE = HEAD + chunk(WORD) + chunk(WORD) + chunk(DONE) + END

BROKEN = {
    "cut off before the answer": (b"", "0 bytes read"),
    "cut off within the stream": (HEAD + chunk(WORD), "bytes read"),
    "not ended as HTTP ends": (HEAD + chunk(WORD) + chunk(DONE), "bytes read"),
    "without its last event": (HEAD + chunk(WORD) + END, "without [DONE]"),
    "cut within an event": (HEAD + chunk(WORD + b"data: [DO") + END, "without [DONE]"),
    "an error event": (HEAD + chunk(WORD) + chunk(b'data: {"error":{"message":"gone"}}\n\n') + END, "gone"),
    "an error": (b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy", "503 busy"),
    "no word": (HEAD + chunk(DONE) + END, "an answer of 0 words"),
    "a word too few": (HEAD + chunk(WORD) + chunk(DONE) + END, "an answer of 1 words"),
}


@contextmanager
def serving(answer: bytes, *, keeps: bool = False) -> Iterator[str]:
    """Serve *answer* to every request, at the address that this yields."""
    ports: list[int] = []
    started, end = threading.Event(), threading.Event()

    async def serve() -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    await reader.readexactly(length)
                    writer.write(answer)
                    await writer.drain()
                    if not keeps:
                        break
            except (EOFError, OSError):
                pass
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        started.set()
        async with server:
            while not end.is_set():
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    try:
        yield f"127.0.0.1:{ports[0]}"
    finally:
        end.set()
        thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_is_not_whole_is_a_failure_with_its_reason(name: str) -> None:
    answer, reason = BROKEN[name]
    with serving(answer) as address, Load(address, key="k", model="m", clients=4, words=2, exact=True) as load:
        wait_until(lambda: load.failures >= 4)
        counts = load.stop()
    assert counts.requests == len(counts.failures) >= 4
    assert all(reason in failure for failure in counts.failures), counts.summary()
    assert reason in counts.summary()


@pytest.mark.parametrize("keeps", [True, False])
def test_whole_answers_are_none_whether_the_server_keeps_connections_or_says_that_it_closes_them(keeps: bool) -> None:  # noqa: FBT001 - a parameter
    answer = WHOLE if keeps else WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    with (
        serving(answer, keeps=keeps) as address,
        Load(address, key="k", model="m", clients=4, words=2, exact=True) as load,
    ):
        for since in (0.0, time.monotonic(), time.monotonic() + 0.1):
            wait_until(lambda since=since: load.has_answered_all(since=since))  # type: ignore[misc]  # a lambda has no annotations
        counts = load.stop()
    assert counts.failures == (), counts.summary()
    assert counts.requests >= 12
    # half of the clients keep theirs, where they may
    assert counts.connections < counts.requests if keeps else counts.connections == counts.requests


def test_a_server_that_is_not_there_is_a_failure() -> None:
    with serving(WHOLE) as address:
        pass
    with Load(address, key="k", model="m", clients=4) as load:
        wait_until(lambda: load.failures >= 4)
        counts = load.stop()
    assert "Connect" in counts.failures[0]
