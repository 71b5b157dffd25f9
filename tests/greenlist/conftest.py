"""A real HTTP server for the tests of fetching, and no cache but the test's own."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class ListServer:
    """Answers each path with what is put there; *asked* has the paths in order."""

    url: str = ""
    bodies: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    #: set when the test is over: bodies and headers that never end are let go.
    over: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """One request to *state*, which the server of the test puts here."""

    state: ListServer

    def do_GET(self) -> None:
        self.state.asked.append(self.path)
        if self.path in self.state.redirects:
            self.send_response(302)
            self.send_header("Location", self.state.redirects[self.path])
            self.end_headers()
        elif self.path == "/slow-headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self.drip()
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            self.drip()
        elif self.path in self.state.bodies:
            self.send_response(200)
            for name, value in self.state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(self.state.bodies[self.path])
        else:
            self.send_error(404)

    def drip(self) -> None:
        """Write a byte now and then, so that no single wait for one is long."""
        while not self.state.over.wait(0.05):
            self.wfile.write(b"x")
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name that http.server gives it
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is what the tests are about."""


@pytest.fixture
def server() -> Iterator[ListServer]:
    state = ListServer()
    handler = type("Handler", (Handler,), {"state": state})
    with Server(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{listening.server_address[1]}"
        yield state
        state.over.set()
        listening.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "modelgrid" / "greenlist"
