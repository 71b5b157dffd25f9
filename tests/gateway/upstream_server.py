"""A model server that behaves as a test asks: the body's field ``fake`` says how. It records what it received."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "engine",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello there."}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
EMBEDDING = {
    "object": "list",
    "model": "engine",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}


def chunk_event(text: str) -> bytes:
    data = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "engine",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    return b"data: " + json.dumps(data).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
#: As llama.cpp answers until it has read its weights.
_LOADING_BODY = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
LOADING = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_LOADING_BODY),
    _LOADING_BODY,
)


@dataclass
class Recorded:
    head: bytes
    body: bytes
    connection: int
    closed_at: float | None = None
    written: int = 0

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode().lower() == name:
                return value.strip().decode()
        return None


@dataclass
class UpstreamServer:
    """Runs in a thread of its own. *healthy* decides the answer of ``/health``; *loading*: no request is served."""

    port: int = 0
    healthy: bool = True
    loading: bool = False
    requests: list[Recorded] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._condition = threading.Condition()
        self._started = threading.Event()
        self._stopped: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> UpstreamServer:
        self._thread.start()
        assert self._started.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stopped is not None
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(5)

    def wait_for(self, found: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Whether *found* became true in time; looked at whenever something happens here."""
        with self._condition:
            return self._condition.wait_for(found, seconds)

    def marked(self, mark: str) -> list[Recorded]:
        """The requests whose body carries *mark* in its field ``fake``."""
        with self._condition:
            return [request for request in self.requests if mark.encode() in request.body]

    def _note(self, change: Callable[[], None]) -> None:
        with self._condition:
            change()
            self._condition.notify_all()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopped.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        state: dict[str, bool] = {}
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = Recorded(head=head, body=b"", connection=number)
                length = int(request.header("content-length") or 0)
                request.body = await reader.readexactly(length)
                if head.startswith(b"GET "):
                    status = b"200 OK" if self.healthy else b"503 Service Unavailable"
                    writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\nok")
                    continue
                self._note(partial(self.requests.append, request))
                if state.pop("die_on_next", False):
                    return
                answering = asyncio.create_task(self._answer(request, writer, state))
                watching = asyncio.create_task(reader.read(1))
                await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done() or isinstance(
                    answering.exception(), ConnectionError
                ):  # the gateway closed first
                    self._note(partial(setattr, request, "closed_at", time.monotonic()))
                    answering.cancel()
                    watching.cancel()
                    await asyncio.gather(answering, watching, return_exceptions=True)
                    return
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                if not answering.result():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _answer(self, request: Recorded, writer: asyncio.StreamWriter, state: dict[str, bool]) -> bool:
        """Answer; return whether the connection may go on."""
        fake = request.json.get("fake", {})
        mode = fake.get("mode", "stream" if request.json.get("stream") else "json")
        if self.loading:
            await _send(writer, LOADING)
            return True
        if mode == "die":
            return False
        if mode == "stall":
            await asyncio.sleep(60)
        elif mode == "raw":
            await _send(writer, fake["text"].encode("latin-1"))
        elif mode == "half_head_then_die":
            await _send(writer, b"HTTP/1.1 200 O")
        elif mode.startswith(("stream", "bytewise")):
            await _stream(writer, mode, fake)
        elif mode == "flood":
            block = b"x" * 65536
            await _send(writer, _head(b"application/octet-stream", fake["blocks"] * len(block)))
            for _ in range(fake["blocks"]):
                await _send(writer, block)
                self._note(lambda: setattr(request, "written", request.written + len(block)))
        else:
            state["die_on_next"] = mode == "die_on_next"
            await _plain(writer, mode, EMBEDDING if request.path.endswith("embeddings") else CHAT)
        if mode.endswith("then_die"):
            await asyncio.sleep(0.05)
            return False
        return True


async def _plain(writer: asyncio.StreamWriter, mode: str, value: object) -> None:
    body = json.dumps(value).encode()
    if mode == "chunked":
        await _send(writer, _head(b"application/json") + _chunk(body[:20]) + _chunk(body[20:]) + b"0\r\n\r\n")
    elif mode == "json_then_die":
        await _send(writer, _head(b"application/json", 1000) + body[:20])
    elif mode == "head_then_die":
        await _send(writer, _head(b"application/json", 1000))
    elif mode == "chunked_then_die":
        await _send(writer, _head(b"application/json") + _chunk(body[:20]))
    else:
        assert mode in {"json", "die_on_next"}, mode
        await _send(writer, _head(b"application/json", len(body)) + body)


async def _stream(writer: asyncio.StreamWriter, mode: str, fake: dict[str, Any]) -> None:
    head = _head(b"text/event-stream")
    if mode == "stream_then_die":
        await _send(writer, head + _chunk(chunk_event("a") + b'data: {"half'))
    elif mode == "stream_then_stall":
        await _send(writer, head + _chunk(chunk_event("a")))
        await asyncio.sleep(60)
    elif mode == "bytewise":
        await _send(writer, head)
        for character in fake["text"]:
            await _send(writer, _chunk(character.encode()))
            await asyncio.sleep(0)
        await _send(writer, b"0\r\n\r\n")
    else:
        assert mode == "stream", mode
        await _send(writer, head)
        for number in range(fake.get("chunks", 3)):
            await _send(writer, _chunk(chunk_event(f"t{number} ")))
            await asyncio.sleep(fake.get("delay", 0))
        await _send(writer, _chunk(DONE) + b"0\r\n\r\n")


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def _head(kind: bytes, length: int | None = None) -> bytes:
    framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    return b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\n" + framing + b"\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
