"""One gateway takes over from another on the same port, while clients ask."""

from __future__ import annotations

import http.client
import signal
import socket
import struct
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid import live
from modelgrid.errors import HostError
from modelgrid.gateway.listening import choose, own_listener
from modelgrid.gateway.serve import prepare
from modelgrid.live import WorkerStatus, load_worker_status
from modelgrid.manifest import dump
from tests.gateway.conftest import free_port, manifest, route, start_gateway
from tests.gateway.load import Load
from tests.gateway.test_live_reload import put

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.gateway.upstream_server import UpstreamServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the program that chooses a socket is Linux's")


@dataclass
class Port:
    """A port, the gateways on it, and what tells them who serves."""

    folder: Path
    number: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def live(self) -> Path:
        return self.folder / "live"

    def start(self, unit: str, **options: Any) -> None:
        """Start a gateway, and wait until it listens."""
        runtime = self.folder / unit
        runtime.mkdir()
        self.processes[unit] = start_gateway(
            runtime / "out",
            self.folder / "manifest.json",
            port=self.number,
            live=str(self.live),
            unit=unit,
            environment={"RUNTIME_DIRECTORY": str(runtime)},
            **options,
        )
        self.wait_for(lambda: self.workers(unit) != [], unit)

    def workers(self, unit: str) -> list[WorkerStatus]:
        found = (self.folder / unit).glob(f"{live.WORKER_PREFIX}*.json")
        return [load_worker_status(path.read_bytes()) for path in found]

    def wait_for(self, found: Callable[[], bool], unit: str) -> None:
        end = time.monotonic() + 15
        while not found():
            assert self.processes[unit].poll() is None, self.log(unit)
            assert time.monotonic() < end, self.log(unit)
            time.sleep(0.02)

    def log(self, unit: str) -> str:
        return (self.folder / unit / "out" / "stderr").read_text()

    def give(self, unit: str, index: int) -> None:
        """Say who serves, and wait until all that run know it."""
        put(self.live / live.SERVING, live.Serving(unit=unit, index=index).dump())
        for name in self.processes:
            self.wait_for(partial(self._heard, name, unit), name)

    def _heard(self, name: str, unit: str) -> bool:
        return [item.serving for item in self.workers(name)] == [unit]

    def idle(self, unit: str) -> bool:
        """Whether nothing is in flight in *unit*."""
        return not any(item.in_flight for item in self.workers(unit))

    def stop(self, unit: str) -> None:
        process = self.processes.pop(unit)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    def served(self, unit: str) -> int:
        """How many requests *unit* answered."""
        return self.log(unit).count('"status":200')


@pytest.fixture
def port(tmp_path: Path, upstream: UpstreamServer) -> Iterator[Port]:
    (tmp_path / "live").mkdir()
    (tmp_path / "manifest.json").write_text(dump(manifest(route("a", upstream.port))))
    port = Port(tmp_path, free_port())
    yield port
    for process in port.processes.values():
        process.terminate()
    for process in port.processes.values():
        process.wait(20)


def test_no_request_fails_while_gateways_take_over_from_each_other(
    port: Port, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"g{number}.service" for number in range(5)]
    port.start(names[0])
    with Load(port.number, stream={"fake": {"mode": "stream", "chunks": 20, "delay": 0.02}}) as load:
        for old, new in pairwise(names):
            port.give(old, 0)
            port.start(new)
            before = port.served(new)
            time.sleep(0.3)
            assert port.served(new) == before, "a gateway takes connections before it is said to serve"
            port.give(new, 1)
            time.sleep(1.0)
            port.wait_for(partial(port.idle, old), old)
            port.stop(old)
            port.give(new, 0)
            time.sleep(0.3)
        (port.live / live.SERVING).unlink()
        time.sleep(0.5)

    with capsys.disabled():
        print(f"\n  4 gateways took over: {load}")
    assert load.failures == []
    assert min(load.done.values()) > 20
    assert all(port.served(name) > 20 for name in names)


@contextmanager
def kept(port: Port) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port.number, timeout=10)
    yield connection
    connection.close()


def test_a_gateway_that_leaves_ends_its_connections_with_their_next_answer(port: Port) -> None:
    port.start("one.service")
    with kept(port) as connection:
        for unit, expected in (("one.service", None), ("other.service", "close"), ("one.service", None)):
            port.give(unit, 0)
            connection.request("GET", "/health")
            answer = connection.getresponse()
            assert (answer.read(), answer.headers["connection"]) == (b'{"status":"ok"}', expected)


def test_without_a_word_of_who_serves_the_port_is_taken(port: Port) -> None:
    port.start("one.service")
    settings: dict[str, Any] = {
        "manifest": port.folder / "manifest.json",
        "keys": None,
        "host": "127.0.0.1",
        "port": port.number,
    }
    for folder in (None, port.live):
        with pytest.raises(HostError, match="is taken"):
            prepare(**settings, live=folder, unit="two.service")

    port.give("one.service", 0)
    assert prepare(**settings, live=port.live, unit="two.service").unit == "two.service"


def test_a_port_of_another_program_is_not_joined(port: Port) -> None:
    put(port.live / live.SERVING, live.Serving(unit="one.service", index=0).dump())
    with socket.create_server(("127.0.0.1", port.number)):
        process = start_gateway(
            port.folder / "out",
            port.folder / "manifest.json",
            port=port.number,
            live=str(port.live),
            unit="two.service",
        )
        assert process.wait(10) == 3
    assert "Address already in use" in (port.folder / "out" / "stderr").read_text()


def test_a_gateway_with_several_workers_leaves_the_choice_to_the_kernel(port: Port) -> None:
    port.start("one.service", workers=2)
    port.wait_for(lambda: len(port.workers("one.service")) == 2, "one.service")
    with Load(port.number) as load:
        port.wait_for(lambda: load.done["fresh"] > 100, "one.service")

    assert not load.failures


def listener(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen(64)
    made.settimeout(0)
    return made


def test_the_chosen_socket_gets_every_connection_and_its_closing_chooses_another() -> None:
    number = free_port()
    first, second = listener(number), listener(number)
    descriptor = own_listener(number)
    assert descriptor in {first.fileno(), second.fileno()}
    assert descriptor is not None

    for index, chosen in ((1, second), (0, first), (1, second)):
        choose(descriptor, index)
        assert taken(number, chosen) == 30
    first.close()
    assert taken(number, second) == 30
    second.close()
    assert own_listener(number) is None
    with pytest.raises(OSError, match=r"."):
        choose(descriptor, 0)


def taken(number: int, chosen: socket.socket) -> int:
    clients = [socket.create_connection(("127.0.0.1", number), timeout=5) for _ in range(30)]
    count = 0
    try:
        while True:
            chosen.accept()[0].close()
            count += 1
    except BlockingIOError:
        return count
    finally:
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()


def test_a_socket_that_is_no_listener_of_the_port_is_none() -> None:
    with socket.socket() as bound, socket.create_server(("127.0.0.1", 0)) as other:
        bound.bind(("127.0.0.1", 0))
        assert own_listener(bound.getsockname()[1]) is None
        found = own_listener(other.getsockname()[1])
        assert found == other.fileno()
