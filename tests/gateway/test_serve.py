"""Starting and stopping: what is refused before listening, signals, systemd's notification."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.errors import ConfigError, HostError
from modelgrid.gateway.serve import prepare
from modelgrid.manifest import Keys, dump
from tests.gateway.conftest import free_port, keys, manifest, route, running, start_gateway

if TYPE_CHECKING:
    from tests.gateway.upstream_server import UpstreamServer


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "manifest.json").write_text(dump(manifest(route("a", 1))))
    (tmp_path / "keys.json").write_text(dump(keys()))
    return {
        "manifest": tmp_path / "manifest.json",
        "keys": tmp_path / "keys.json",
        "host": "127.0.0.1",
        "port": free_port(),
    }


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_no_keys_means_no_listening_beyond_loopback(files: dict[str, Any], host: str) -> None:
    with pytest.raises(ConfigError, match="without keys") as caught:
        prepare(**files | {"keys": None, "host": host})
    assert caught.value.hint

    files["keys"].write_text(dump(Keys(keys=())))
    with pytest.raises(ConfigError, match="no key"):
        prepare(**files | {"host": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_no_keys_are_needed_on_loopback(files: dict[str, Any], host: str) -> None:
    settings = prepare(**files | {"keys": None, "host": host})

    assert (settings.keys, settings.exposed) == (None, False)


def test_a_port_in_use_is_one_sentence(files: dict[str, Any]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", files["port"]))
        other.listen()
        with pytest.raises(HostError, match=f"port {files['port']} of 127.0.0.1 is taken by another program"):
            prepare(**files)


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this system has no SO_REUSEPORT")
def test_a_port_that_another_gateway_would_share_is_taken(files: dict[str, Any]) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", files["port"]))
        other.listen()
        with pytest.raises(HostError, match="is taken"):
            prepare(**files)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"host": "example.com"}, ConfigError, "no IP address"),
        ({"host": "192.0.2.1"}, HostError, "192.0.2.1 is not an address of this host"),
        ({"port": 99999}, ConfigError, "no TCP port"),
        ({"manifest": Path("nowhere.json")}, ConfigError, "cannot read nowhere.json: No such file"),
        ({"keys": Path("nowhere.json")}, ConfigError, "cannot read nowhere.json: No such file"),
    ],
)
def test_bad_settings_are_refused(
    files: dict[str, Any], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        prepare(**files | changes)


@pytest.mark.parametrize("name", ["manifest", "keys"])
def test_a_bad_file_is_named(files: dict[str, Any], name: str) -> None:
    files[name].write_text("{")

    with pytest.raises(ConfigError, match=f"{name}.json: not JSON"):
        prepare(**files)


def test_a_refusal_ends_the_process_without_a_traceback(files: dict[str, Any], tmp_path: Path) -> None:
    process = start_gateway(tmp_path / "out", files["manifest"], host="0.0.0.0", port=files["port"])

    assert process.wait(10) == 1
    assert (tmp_path / "out" / "stderr").read_text().startswith("ConfigError: refusing to listen")


def test_a_port_lost_after_the_check_is_one_sentence_too(files: dict[str, Any], tmp_path: Path) -> None:
    process = start_gateway(tmp_path / "out", files["manifest"], port=files["port"], occupy=True)

    assert process.wait(10) == 3
    written = (tmp_path / "out" / "stderr").read_text()
    assert written.startswith(f"HostError: cannot listen on 127.0.0.1:{files['port']}: Address already in use")
    assert written.count("\n") == 1


def test_what_is_in_flight_is_finished_on_sigterm(tmp_path: Path, upstream: UpstreamServer) -> None:
    with running(tmp_path, manifest(route("a", upstream.port))) as gateway:
        bodies: list[bytes] = []
        fake = {"mode": "stream", "chunks": 10, "delay": 0.05, "mark": "sigterm-1"}
        reader = threading.Thread(target=lambda: bodies.append(gateway.chat("a", fake, stream=True)[2]))
        reader.start()
        assert upstream.wait_for(lambda: any(b"sigterm-1" in request.body for request in upstream.requests))

        assert gateway.stop() == 0
        reader.join()

    assert bodies[0].count(b"data: {") == 10
    assert bodies[0].endswith(b"data: [DONE]\n\n")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups")
@pytest.mark.parametrize("signals", [1, 3])
def test_ctrl_c_ends_all_workers_at_whatever_moment_it_comes(
    files: dict[str, Any], tmp_path: Path, signals: int
) -> None:
    started = []
    try:
        for number in range(4):
            folder = tmp_path / str(number)
            process = start_gateway(folder, files["manifest"], port=free_port(), workers=2, own_group=True)
            started.append((process, folder / "stderr"))
        for number, (process, log) in enumerate(started):
            while "loaded" not in log.read_text():  # the first of its workers is there, or nearly
                assert process.poll() is None
            time.sleep(0.01 * number)
            for _ in range(signals):
                os.killpg(process.pid, signal.SIGINT)
            # the last signal may come when all is done, and Python's own handlers are gone
            assert process.wait(10) in {0, -signal.SIGINT}
            assert "Traceback" not in log.read_text()
    finally:
        for process, _ in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_renews_the_workers_and_requests_go_on(tmp_path: Path, upstream: UpstreamServer) -> None:
    with running(tmp_path, manifest(route("a", upstream.port))) as gateway:
        gateway.process.send_signal(signal.SIGHUP)
        statuses = []
        lost = 0

        def ask() -> None:
            nonlocal lost
            try:
                statuses.append(gateway.chat("a")[0])
            except ConnectionError:
                lost += 1  # one that the old worker had not read when it stopped; clients try such again

        while sum("models" in line for line in gateway.log_lines()) < 2:  # until the new worker has loaded
            ask()
        end = time.monotonic() + 1.0  # and until the old one is gone
        while time.monotonic() < end:
            ask()

    assert set(statuses) == {200}
    assert len(statuses) > 50
    assert lost <= 1


def test_workers_share_the_port(tmp_path: Path, upstream: UpstreamServer) -> None:
    with running(tmp_path, manifest(route("a", upstream.port)), workers=2) as gateway:
        gateway.logged(lambda _: sum("models" in line for line in gateway.log_lines()) == 2)
        assert {gateway.chat("a")[0] for _ in range(10)} == {200}


def test_a_spawned_worker_finds_its_settings(tmp_path: Path, upstream: UpstreamServer) -> None:
    with running(tmp_path, manifest(route("a", upstream.port)), with_keys=True, spawn=True) as gateway:
        assert gateway.chat("a")[0] == 200
        assert gateway.request("GET", "/v1/models", key=None)[0] == 401


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no unix sockets")
@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_when_the_port_answers(
    files: dict[str, Any], tmp_path: Path, upstream: UpstreamServer, *, abstract: bool
) -> None:
    if abstract and sys.platform != "linux":
        pytest.skip("only Linux has abstract sockets")
    name = f"@modelgrid-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(10)
        process = start_gateway(
            tmp_path / "out", files["manifest"], port=files["port"], environment={"NOTIFY_SOCKET": name}
        )
        try:
            assert manager.recv(100) == b"READY=1"
            socket.create_connection(("127.0.0.1", files["port"]), timeout=1).close()
        finally:
            process.terminate()
            process.wait(10)


def test_the_gateway_starts_without_pydantic_yaml_or_httpx() -> None:
    code = "import sys, json, modelgrid.gateway.worker, modelgrid.gateway.serve; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert not {"pydantic", "yaml", "jinja2", "httpx", "pystemd"} & set(json.loads(done.stdout))
