"""The readiness probe says yes to 200 alone, and never waits longer than it was told to."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from modelgrid.health import Target, main, probe, wait_ready
from tests.up.processes import free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LOADING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Answers each connection with the next of *answers*, the last one again and again. None: no answer at all."""

    def __init__(self, *answers: bytes | None, host: str = "127.0.0.1") -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://[{host}]:{self.port}/health" if ":" in host else f"http://{host}:{self.port}/health"
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)

    @contextmanager
    def running(self) -> Iterator[Server]:
        self._thread.start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._thread.join()
            for connection in self.connections:
                connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.connections.append(connection)
            if answer is None:
                continue
            self.requests.append(connection.recv(4096))
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_RDWR)


def test_a_server_is_ready_when_it_answers_200() -> None:
    with Server(LOADING, LOADING, OK).running() as server:
        assert wait_ready(server.url, 5.0, interval=0.01) == ""

    assert len(server.requests) == 3
    assert server.requests[0].startswith(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n".encode())


def test_a_server_at_an_ipv6_address_is_asked_there() -> None:
    with Server(OK, host="::1").running() as server:
        assert wait_ready(server.url, 5.0) == ""

    assert f"Host: [::1]:{server.port}\r\n".encode() in server.requests[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (LOADING, "the answer is 503"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "the answer is 204"),
        (b"HTTP/1.1 2000 Odd\r\n\r\n", "the answer is not HTTP"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "the answer is not HTTP"),
        (b"", "the answer is not HTTP"),
    ],
)
def test_every_other_answer_is_a_no_with_its_reason(answer: bytes, reason: str) -> None:
    with Server(answer).running() as server:
        assert probe(Target.parse(server.url)) == reason


def test_nobody_listening_is_a_no() -> None:
    assert wait_ready(f"http://127.0.0.1:{free_port()}/", 0.05, interval=0.01) == "connection refused"


def test_a_server_that_accepts_and_never_answers_costs_no_more_than_the_timeout() -> None:
    with Server(None).running() as server:
        begin = time.monotonic()

        assert wait_ready(server.url, 0.3) == "no answer in time"
        assert time.monotonic() - begin < 0.6


def test_a_server_that_answers_byte_by_byte_costs_no_more_than_the_timeout() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            while not stop.wait(0.01):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    begin = time.monotonic()
    reason = probe(Target.parse(f"http://127.0.0.1:{listener.getsockname()[1]}/"), patience=0.3)
    waited = time.monotonic() - begin
    stop.set()
    thread.join()
    listener.close()

    assert reason == "no answer in time"
    assert waited < 0.6


def test_the_wait_ends_when_the_server_is_dead() -> None:
    answers = iter([True, True, False])

    assert wait_ready(f"http://127.0.0.1:{free_port()}/", 60.0, interval=0.01, alive=lambda: next(answers)) == (
        "is not ready, and its process has ended"
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:80",
        "https://127.0.0.1:80/",
        "http://127.0.0.1/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:x/",
        "http://:80/",
        "http://127.0.0.1:80/a b",
        "http://127.0.0.1:80/\r\nHost: x",
    ],
)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not of the form http://HOST:PORT/PATH"):
        wait_ready(url, 1.0)


def test_a_url_without_a_path_asks_for_the_root() -> None:
    assert Target.parse("http://127.0.0.1:80") == Target(host="127.0.0.1", port=80, path="/")
    assert Target.parse("http://[::1]:80/v1/health") == Target(host="::1", port=80, path="/v1/health")


def test_the_command_ends_with_0_when_ready(capsys: pytest.CaptureFixture[str]) -> None:
    with Server(OK).running() as server:
        assert main([server.url, "--timeout", "5"]) == 0

    assert capsys.readouterr() == ("", "")


def test_the_command_says_in_one_sentence_that_the_time_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}/health"

    assert main([url, "--timeout", "0.05", "--interval", "0.01"]) == 1
    assert capsys.readouterr().err == f"modelgrid.health: {url} was not ready after 0.05 s: connection refused\n"


def test_the_command_ends_when_the_main_process_of_the_service_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    monkeypatch.setenv("MAINPID", str(ended.pid))

    assert main([f"http://127.0.0.1:{free_port()}/health", "--timeout", "300"]) == 1
    assert "its process has ended" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://127.0.0.1:80/"],
        ["http://127.0.0.1:80/", "--timeout", "soon"],
        ["x", "--timeout", "1"],
        ["--timeout=-1", "x"],
    ],
)
def test_the_command_called_wrongly_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "modelgrid.health: error: " in capsys.readouterr().err


def test_sigterm_ends_the_command_at_once() -> None:
    with Server(None).running() as server:
        command = [sys.executable, "-m", "modelgrid.health", server.url, "--timeout", "60"]
        with subprocess.Popen(command) as process:
            until(lambda: bool(server.connections))
            process.send_signal(signal.SIGTERM)

            assert process.wait(5.0) == -signal.SIGTERM


def test_the_probe_imports_nothing_else_of_the_project() -> None:
    code = "import sys, modelgrid.health; print(sorted(name for name in sys.modules if name.startswith('modelgrid')))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output == "['modelgrid', 'modelgrid.health']\n"
