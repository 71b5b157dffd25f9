"""The live folder while a change of the host is under way: another routing table, routes on hold, the worker's file."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid import live
from modelgrid.gateway.keycopy import copy, wait_until_known
from modelgrid.live import WorkerStatus, load_worker_status
from modelgrid.manifest import Keys, dump
from tests.gateway.conftest import ALL_KEY, CHAT, Gateway, free_port, keys, manifest, route, running
from tests.gateway.test_live_reload import put, wait_for_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from modelgrid.manifest import Manifest
    from tests.gateway.upstream_server import UpstreamServer


@dataclass
class Host:
    """A gateway, its live folder and its runtime folder."""

    gateway: Gateway
    live: Path
    runtime: Path
    threads: list[threading.Thread] = field(default_factory=list)

    def route_by(self, content: Manifest) -> str:
        """Put a table into the live folder, and wait until the worker routes by it."""
        sha256 = put(self.live / live.ROUTING, dump(content))
        self.wait_for(lambda status: status.manifest == sha256)
        return sha256

    def status(self) -> WorkerStatus | None:
        """What the one worker says of itself; none where it has written nothing."""
        found = list(self.runtime.glob(f"{live.WORKER_PREFIX}*.json"))
        assert len(found) <= 1
        return load_worker_status(found[0].read_bytes()) if found else None

    def wait_for(self, found: Callable[[WorkerStatus], bool], seconds: float = 5) -> WorkerStatus:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.status()
            if status is not None and found(status):
                return status
            time.sleep(0.01)
        raise AssertionError((self.status(), self.gateway.log.read_text()))

    def ask(self, model: str, fake: dict[str, Any] | None = None, **fields: Any) -> list[tuple[int, Any, Any]]:
        """Ask from a thread of its own; the answer is in the list once it came."""
        answers: list[tuple[int, Any, Any]] = []
        thread = threading.Thread(target=lambda: answers.append(self.gateway.chat(model, fake, **fields)))
        thread.start()
        self.threads.append(thread)
        return answers

    def join(self) -> None:
        for thread in self.threads:
            thread.join(15)
            assert not thread.is_alive()


@pytest.fixture
def host(tmp_path: Path, upstream: UpstreamServer) -> Iterator[Host]:
    folders = [tmp_path / "live", tmp_path / "runtime"]
    for folder in folders:
        folder.mkdir()
    routes = manifest(route("a", upstream.port, upstream_model="engine/a"), route("b", upstream.port))
    with running(
        tmp_path / "gateway",
        routes,
        with_keys=True,
        live=str(folders[0]),
        unit="one.service",
        environment={"RUNTIME_DIRECTORY": str(folders[1])},
    ) as gateway:
        host = Host(gateway=gateway, live=folders[0], runtime=folders[1])
        host.wait_for(lambda _: True)
        yield host


def on_hold(upstream: UpstreamServer, **limits: Any) -> Manifest:
    return manifest(route("a"), route("b", upstream.port), **limits)


def test_a_live_table_is_used_while_it_is_there_and_the_manifest_after(host: Host, upstream: UpstreamServer) -> None:
    before = hashlib.sha256(host.gateway.manifest.read_bytes()).hexdigest()
    host.route_by(manifest(route("c", upstream.port)))
    assert (host.gateway.chat("c")[0], host.gateway.chat("a")[0]) == (200, 404)

    # a generation that comes into force meanwhile counts from the moment that the live table is gone
    put(host.gateway.manifest, dump(manifest(route("d", upstream.port))))
    seen: list[str] = []
    (host.live / live.ROUTING).unlink()
    while not seen or host.gateway.chat("d")[0] != 200:
        seen.append(host.gateway.request("GET", "/ready", key=None)[2]["manifest"])

    assert before not in seen
    assert host.gateway.chat("c")[0] == 404


def test_a_bad_live_table_is_refused_and_the_value_before_stays(host: Host, upstream: UpstreamServer) -> None:
    good = host.route_by(manifest(route("c", upstream.port)))
    put(host.live / live.ROUTING, "{")

    line = host.gateway.logged(lambda line: line.get("event") == "refused")
    assert line["file"] == str(host.live / live.ROUTING)
    wait_for_manifest(host.gateway, good)
    assert host.gateway.chat("c")[0] == 200


def test_requests_wait_while_their_route_is_on_hold_and_go_to_its_new_server(
    host: Host, upstream: UpstreamServer, second_upstream: UpstreamServer
) -> None:
    host.route_by(on_hold(upstream))
    answers = [host.ask("a", {"mark": f"held-{number}"}) for number in range(20)]
    host.wait_for(lambda status: status.held == 20)
    assert host.gateway.chat("b")[0] == 200
    assert not any(answers)

    host.route_by(manifest(route("a", second_upstream.port, upstream_model="engine/new"), route("b", upstream.port)))
    host.join()

    assert [answer[0][0] for answer in answers] == [200] * 20
    assert not upstream.marked("held-")
    assert {request.json["model"] for request in second_upstream.marked("held-")} == {"engine/new"}
    host.wait_for(lambda status: not status.in_flight and not status.held)


def test_a_held_stream_is_a_stream(host: Host, upstream: UpstreamServer) -> None:
    host.route_by(on_hold(upstream))
    answers = host.ask("a", {"mode": "stream"}, stream=True)
    host.wait_for(lambda status: status.held == 1)
    (host.live / live.ROUTING).unlink()
    host.join()

    status, headers, body = answers[0]
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert body.endswith(b"data: [DONE]\n\n")


def test_what_waits_too_long_is_told_to_come_back(host: Host, upstream: UpstreamServer) -> None:
    host.route_by(on_hold(upstream, hold_time=0.3))
    begun = time.monotonic()
    status, headers, answer = host.gateway.chat("a")

    assert 0.25 < time.monotonic() - begun < 3
    assert (status, headers["retry-after"], headers["x-modelgrid-error"]) == (503, "5", "gateway")
    assert (answer["error"]["code"], answer["error"]["type"]) == ("model_unavailable", "server_error")
    assert "`a` is being changed" in answer["error"]["message"]


def test_no_more_wait_than_may(host: Host, upstream: UpstreamServer) -> None:
    host.route_by(on_hold(upstream, hold_requests=2))
    held = [host.ask("a"), host.ask("a")]
    host.wait_for(lambda status: status.held == 2)

    assert host.gateway.chat("a")[0] == 503
    (host.live / live.ROUTING).unlink()
    host.join()
    assert [answer[0][0] for answer in held] == [200, 200]


@pytest.mark.parametrize("limits", [{"hold_time": 0.0}, {"hold_requests": 0}])
def test_a_hold_of_nothing_is_none(host: Host, upstream: UpstreamServer, limits: dict[str, Any]) -> None:
    host.route_by(on_hold(upstream, **limits))
    begun = time.monotonic()

    assert host.gateway.chat("a")[0] == 503
    assert time.monotonic() - begun < 3


def test_a_model_with_a_fallback_gets_it_once_it_waited_too_long(host: Host, upstream: UpstreamServer) -> None:
    host.route_by(manifest(route("a", fallback=("b",)), route("b", upstream.port), hold_time=0.2))
    status, headers, _ = host.gateway.chat("a")

    assert (status, headers["x-modelgrid-fallback"]) == (200, "b")


def test_a_route_that_goes_while_its_requests_wait_is_no_more(host: Host, upstream: UpstreamServer) -> None:
    host.route_by(on_hold(upstream))
    answers = host.ask("a")
    host.wait_for(lambda status: status.held == 1)
    host.route_by(manifest(route("b", upstream.port)))
    host.join()

    assert (answers[0][0], answers[0][2]["error"]["code"]) == (404, "model_not_found")


def test_a_client_that_leaves_is_not_counted_as_waiting(host: Host, upstream: UpstreamServer) -> None:
    host.route_by(on_hold(upstream))
    body = json.dumps({"model": "a", "fake": {"mark": "left-held"}}).encode()
    with host.gateway.connect() as connection:
        connection.sendall(
            b"POST %b HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (CHAT.encode(), ALL_KEY.encode(), len(body), body)
        )
        host.wait_for(lambda status: status.held == 1)

    host.wait_for(lambda status: status.held == 0)
    host.gateway.logged(lambda line: line.get("client_left") is True)
    (host.live / live.ROUTING).unlink()
    host.wait_for(lambda status: status.manifest == hashlib.sha256(host.gateway.manifest.read_bytes()).hexdigest())
    assert not upstream.marked("left-held")


def test_a_body_is_checked_before_it_waits(host: Host, upstream: UpstreamServer) -> None:
    host.route_by(on_hold(upstream))

    assert host.gateway.request("POST", CHAT, b"{")[0] == 400
    assert host.gateway.request("POST", CHAT, {"model": "a"}, key="sk-none")[0] == 401
    status = host.status()
    assert status is not None
    assert status.held == 0


def test_a_body_that_comes_slowly_goes_by_the_table_at_its_end(
    host: Host, upstream: UpstreamServer, second_upstream: UpstreamServer
) -> None:
    body = json.dumps({"model": "a", "messages": [], "fake": {"mark": "slow-body"}}).encode()
    with host.gateway.connect() as connection:
        connection.sendall(
            b"POST %b HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % (CHAT.encode(), ALL_KEY.encode(), len(body))
        )
        connection.sendall(body[:10])
        host.route_by(manifest(route("a", second_upstream.port)))
        connection.sendall(body[10:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")

    assert not upstream.marked("slow-body")
    assert len(second_upstream.marked("slow-body")) == 1


def test_in_flight_counts_a_server_that_the_table_has_no_more(
    host: Host, upstream: UpstreamServer, second_upstream: UpstreamServer
) -> None:
    old = f"127.0.0.1:{upstream.port}"
    body = json.dumps({"model": "a", "stream": True, "fake": {"mode": "stream_then_stall"}}).encode()
    with host.gateway.connect() as connection:
        connection.sendall(
            b"POST %b HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (CHAT.encode(), ALL_KEY.encode(), len(body), body)
        )
        host.wait_for(lambda status: status.in_flight == {old: 1})
        sha256 = host.route_by(manifest(route("a", second_upstream.port)))
        assert host.gateway.chat("a")[0] == 200
        status = host.status()
        assert status is not None
        assert (status.in_flight.get(old), status.manifest) == (1, sha256)

    host.wait_for(lambda status: not status.in_flight)


def test_a_server_that_goes_once_nothing_is_in_flight_costs_no_request(
    host: Host, upstream: UpstreamServer, second_upstream: UpstreamServer
) -> None:
    """A request that could connect to no server of its table asks the next table, not its client."""
    gone = free_port()
    host.route_by(manifest(route("a", gone), route("b", upstream.port)))
    stop = threading.Event()
    statuses: list[int] = []

    def load() -> None:
        while not stop.is_set():
            statuses.append(host.gateway.chat("b")[0])

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(10):
            # as a change does it: hold, wait until nothing is in flight, and let the other server take over
            host.route_by(manifest(route("a", upstream.port), route("b")))
            host.wait_for(lambda status: not status.in_flight)
            server = (second_upstream, upstream)[number % 2]
            host.route_by(manifest(route("a", upstream.port), route("b", server.port)))
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert set(statuses) == {200}
    assert len(statuses) > 50


def test_the_worker_tells_the_keys_that_it_knows_and_the_gateway_that_serves(host: Host) -> None:
    file = host.gateway.manifest.with_name("keys.json")
    status = host.wait_for(lambda status: status.keys == hashlib.sha256(file.read_bytes()).hexdigest())
    assert (status.serving, status.held, dict(status.in_flight)) == ("", 0, {})

    sha256 = put(file, dump(keys()).replace('"keys_version": 1', '"keys_version":  1'))
    host.wait_for(lambda status: status.keys == sha256)
    put(host.live / live.SERVING, live.Serving(unit="one.service", index=0).dump())
    host.wait_for(lambda status: status.serving == "one.service")
    (host.live / live.SERVING).unlink()
    host.wait_for(lambda status: status.serving == "")


def test_a_copy_of_keys_is_done_once_the_worker_knows_them(host: Host, tmp_path: Path) -> None:
    source, target = tmp_path / "source", host.gateway.manifest.with_name("keys.json")
    source.write_text(dump(Keys(keys=keys().keys[:1])))
    # the runtime folder has both, on a host
    sha256 = copy(source, target)
    assert wait_until_known(host.runtime, sha256)
    status = host.status()
    assert status is not None
    assert status.keys == sha256

    source.write_text("{")
    assert not wait_until_known(host.runtime, copy(source, target), seconds=0.5)
    assert host.gateway.logged(lambda line: line.get("event") == "refused")["file"] == str(target)


@pytest.mark.parametrize("text", ["{", "[]", '{"unit": 1, "index": 0}', '{"unit": "a", "index": true}'])
def test_a_bad_word_of_who_serves_is_refused(host: Host, text: str) -> None:
    put(host.live / live.SERVING, text)

    assert host.gateway.logged(lambda line: line.get("event") == "refused")["file"].endswith(live.SERVING)
    assert host.gateway.chat("a")[0] == 200


def test_the_workers_file_can_be_read_by_others_and_goes_with_it(host: Host) -> None:
    [path] = host.runtime.iterdir()
    assert path.stat().st_mode & 0o777 == 0o644

    assert host.gateway.stop() == 0
    assert not list(host.runtime.iterdir())


def test_the_file_of_a_worker_that_was_killed_is_removed_by_the_next(tmp_path: Path, upstream: UpstreamServer) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir()
    dead = folder / f"{live.WORKER_PREFIX}{2**22 + 1}.json"
    foreign = folder / f"{live.WORKER_PREFIX}one.json"
    for path in (dead, foreign):
        path.write_text("")
    with running(
        tmp_path, manifest(route("a", upstream.port)), environment={"RUNTIME_DIRECTORY": str(folder)}
    ) as gateway:
        while len(names := {path.name for path in folder.glob("worker-*")}) < 2 or dead.name in names:
            assert gateway.process.poll() is None
        assert foreign.name in names


def test_without_a_runtime_folder_nothing_is_written(tmp_path: Path, upstream: UpstreamServer) -> None:
    with running(tmp_path, manifest(route("a", upstream.port)), environment={"RUNTIME_DIRECTORY": ""}) as gateway:
        assert gateway.chat("a")[0] == 200
        assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "stderr"]


def test_without_room_for_its_file_the_worker_serves_and_says_so(tmp_path: Path, upstream: UpstreamServer) -> None:
    with running(
        tmp_path, manifest(route("a", upstream.port)), environment={"RUNTIME_DIRECTORY": str(tmp_path / "none")}
    ) as gateway:
        gateway.logged(lambda line: line.get("event") == "no_status")
        assert [gateway.chat("a")[0] for _ in range(3)] == [200] * 3
        time.sleep(0.5)
        assert sum(line.get("event") == "no_status" for line in gateway.log_lines()) == 1
