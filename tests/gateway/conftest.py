from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from modelgrid.manifest import Key, Keys, Manifest, Route, Upstream, dump
from tests.gateway.upstream_server import UpstreamServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A busy machine is no fault of the code: properties are held to what they say, not to a time.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ALL_KEY = "sk-all-7f3a"
LLAMA_KEY = "sk-llama-19bc"
MAX_BODY = 1024 * 1024
CHAT = "/v1/chat/completions"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def route(model: str, *ports: int, **changes: Any) -> Route:
    fields: dict[str, Any] = {
        "model": model,
        "aliases": (),
        "engine": "fake",
        "upstream_model": model,
        "apis": (CHAT,),
        "upstreams": tuple(Upstream(host="127.0.0.1", port=port) for port in ports),
        "health_path": "/health",
        "fallback": (),
    }
    return Route(**(fields | changes))


def manifest(*routes: Route, hold_time: float = 10.0, hold_requests: int = 100) -> Manifest:
    ordered = tuple(sorted(routes, key=lambda route: route.model))
    return Manifest(max_body=MAX_BODY, hold_time=hold_time, hold_requests=hold_requests, routes=ordered)


def keys() -> Keys:
    def key(name: str, secret: str, *models: str) -> Key:
        return Key(name=name, sha256=hashlib.sha256(secret.encode()).hexdigest(), models=models)

    return Keys(keys=(key("everything", ALL_KEY, "*"), key("llamas", LLAMA_KEY, "llama*")))


@dataclass
class Gateway:
    """A gateway process under test."""

    port: int
    process: subprocess.Popen[bytes]
    manifest: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def request(
        self, method: str, path: str, body: object = None, *, key: str | None = ALL_KEY, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, Any]:
        """One request on a new connection; the body of the answer read as JSON where it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            fields["authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            fields.setdefault("content-type", "application/json")
        try:
            connection.request(method, path, data, fields)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        is_json = answer.headers.get("content-type") == "application/json"
        return answer.status, answer.headers, json.loads(content) if is_json else content

    def chat(self, model: str, fake: dict[str, Any] | None = None, **fields: Any) -> tuple[int, Any, Any]:
        body = {"messages": [], "model": model, "fake": fake or {}, **fields}
        return self.request("POST", CHAT, body)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def logged(self, found: Callable[[dict[str, Any]], bool], seconds: float = 5) -> dict[str, Any]:
        """The first log line for which *found* holds; lines are written a few times a second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.log_lines():
                if found(line):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no such line in {self.log.read_text()}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


def start_gateway(folder: Path, manifest_path: Path, **options: Any) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **options.pop("environment", {})}
    own_group = options.pop("own_group", False)
    with (folder / "stderr").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.gateway.runner", json.dumps({"manifest": str(manifest_path), **options})],
            stderr=log,
            env=environment,
            start_new_session=own_group,
            cwd=Path(__file__).parents[2],
        )


@contextmanager
def running(folder: Path, content: Manifest, **options: Any) -> Iterator[Gateway]:
    """A gateway that serves *content* and is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "manifest.json"
    path.write_text(dump(content))
    if options.pop("with_keys", False):
        (folder / "keys.json").write_text(dump(keys()))
        options["keys"] = str(folder / "keys.json")
    options.setdefault("port", free_port())
    process = start_gateway(folder, path, **options)
    gateway = Gateway(port=options["port"], process=process, manifest=path, log=folder / "stderr")
    try:
        wait_until_ready(gateway)
        yield gateway
    finally:
        process.kill() if process.poll() is None and gateway.stop() is None else None
        process.wait(5)


def wait_until_ready(gateway: Gateway) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        assert gateway.process.poll() is None, gateway.log.read_text()
        try:
            if gateway.request("GET", "/ready", key=None)[0] == 200:
                return
        except OSError:
            time.sleep(0.01)
    raise AssertionError(gateway.log.read_text())


@pytest.fixture(scope="session")
def upstream() -> Iterator[UpstreamServer]:
    with UpstreamServer() as server:
        yield server


@pytest.fixture(scope="session")
def second_upstream() -> Iterator[UpstreamServer]:
    with UpstreamServer() as server:
        yield server


@pytest.fixture(scope="session")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream: UpstreamServer, second_upstream: UpstreamServer
) -> Iterator[Gateway]:
    """The gateway that most tests share: with keys, short time limits, and these models."""
    routes = manifest(
        route(
            "llama3:8b",
            upstream.port,
            aliases=("gpt-4o",),
            upstream_model="engine/llama",
            apis=(CHAT, "/v1/completions"),
        ),
        route("Qwen/Qwen2.5-7B", upstream.port),
        route("embedder", upstream.port, apis=("/v1/embeddings", "/v1/rerank")),
        route("pair", upstream.port, second_upstream.port),
        route("down", free_port()),
        route("half-down", free_port(), upstream.port),
    )
    with running(
        tmp_path_factory.mktemp("gateway"),
        routes,
        with_keys=True,
        timeouts={"connect": 1.0, "first_byte": 0.7, "idle": 0.7},
        body_patience=0.5,
    ) as process:
        yield process
