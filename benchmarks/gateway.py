"""What the gateway costs: the same requests straight to a mock model server and through the gateway, in turns.

    python benchmarks/gateway.py [--seconds 2] [--rounds 3] [--connections 32]

All parts share this machine, so absolute figures say little; read the ratios, which are of one run. The mock answers
at once, as no model does: this is the worst case for a gateway. Give it a quiet machine with four cores or more.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from modelgrid.gateway.serve import serve
from modelgrid.manifest import Key, Keys, Manifest, Route, Upstream, dump

SECRET = "sk-benchmark"
PATH = "/v1/chat/completions"
PROMPT = 1000
EVENT = b'data: {"choices":[{"delta":{"content":"token "}}]}\n\n'
EVENTS = b"%x\r\n%b\r\n" % (len(EVENT), EVENT) * 20 + b"0\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + EVENTS
BODY = json.dumps({"choices": [{"message": {"role": "assistant", "content": "Hello. " * 100}}]}).encode()
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


def run(main: Any) -> Any:
    try:
        import uvloop  # noqa: PLC0415  not on Windows
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def length_of(head: bytes) -> int | None:
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return int(length) if length else None


class Mock(asyncio.Protocol):
    """Answers each POST at once: one JSON object, or a stream of twenty events."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if end and len(body) >= (length_of(head) or 0):
            self.buffer = b""  # one request at a time on a connection
            self.transport.write(STREAM if b'"stream": true' in body else PLAIN)


def run_mock(port: int) -> None:
    async def main() -> None:
        await (await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", port)).serve_forever()

    run(main())


def run_gateway(folder: Path, port: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the access log is written, but not shown
    serve(manifest=folder / "manifest.json", keys=folder / "keys.json", host="127.0.0.1", port=port)


class Client(asyncio.Protocol):
    """Sends a request, waits for the end of its answer, and sends the next."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.times: list[float] = []  # to the first byte of the body
        self.failed = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.ask()

    def ask(self) -> None:
        self.buffer = b""
        self.first_byte = 0.0
        self.sent_at = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, _, body = self.buffer.partition(b"\r\n\r\n")
        if not body:
            return
        self.first_byte = self.first_byte or time.perf_counter() - self.sent_at
        length = length_of(head)
        if not head.startswith(b"HTTP/1.1 200"):
            self.failed = self.buffer
        elif len(body) == length if length else body.endswith(b"\r\n0\r\n\r\n"):
            self.times.append(self.first_byte)
            self.ask()


async def load(port: int, request: bytes, connections: int, seconds: float) -> tuple[float, float]:
    """Requests per second, and the median time to the first byte of the body in seconds."""
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Client(request), "127.0.0.1", port) for _ in range(connections)]
    await asyncio.sleep(seconds)
    for transport, client in made:
        transport.abort()
        if client.failed:
            raise SystemExit(f"an answer was no success: {client.failed[:300]!r}")
    times = [time for _, client in made for time in client.times]
    return len(times) / seconds, statistics.median(times)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return cast("int", probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def request(*, stream: bool) -> bytes:
    messages = [{"role": "user", "content": "x" * PROMPT}]
    body = json.dumps({"messages": messages, "model": "mock", "stream": stream}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {SECRET}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def measure(ports: dict[str, int], options: argparse.Namespace) -> None:
    plain, stream = request(stream=False), request(stream=True)
    cases = [("whole answers", plain, options.connections), ("whole answers", plain, 1), ("streams", stream, 1)]
    for name, sent, connections in cases:
        rates, first = ({target: list[float]() for target in ports} for _ in range(2))
        for _ in range(options.rounds):
            for target, port in ports.items():
                rate, first_byte = run(load(port, sent, connections, options.seconds))
                rates[target].append(rate)
                first[target].append(first_byte * 1e6)
        print(f"{name}, {connections} connections, {PROMPT} bytes of prompt; gateway : direct")
        print(f"  requests per second  {compare(rates)}\n  us to the first byte {compare(first)}")


def compare(values: dict[str, list[float]]) -> str:
    ratios = sorted(b / a for a, b in zip(values["direct"], values["gateway"], strict=True))
    medians = [statistics.median(values[target]) for target in ("gateway", "direct")]
    median = statistics.median(ratios)
    return f"{medians[0]:8.0f} : {medians[1]:8.0f} = {median:6.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"


def write_files(folder: Path, upstream: int) -> None:
    server = Upstream(host="127.0.0.1", port=upstream)
    names: dict[str, Any] = {"model": "mock", "aliases": (), "engine": "mock", "upstream_model": "engine/mock"}
    route = Route(**names, apis=(PATH,), health_path="/", upstreams=(server,), fallback=())
    key = Key(name="benchmark", sha256=hashlib.sha256(SECRET.encode()).hexdigest(), models=("*",))
    (folder / "manifest.json").write_text(
        dump(Manifest(max_body=64 * 1024**2, hold_time=0.0, hold_requests=0, routes=(route,)))
    )
    (folder / "keys.json").write_text(dump(Keys(keys=(key,))))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind")
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    ports = {"direct": free_port(), "gateway": free_port()}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), ports["direct"])
        processes = [
            multiprocessing.Process(target=run_mock, args=(ports["direct"],)),
            multiprocessing.Process(target=run_gateway, args=(Path(folder), ports["gateway"])),
        ]
        for process in processes:
            process.start()
        try:
            for port in ports.values():
                wait_for(port)
            measure(ports, options)
        finally:
            for process in processes:
                process.terminate()


if __name__ == "__main__":
    main()
