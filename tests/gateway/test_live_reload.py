"""The manifest and the keys are swapped while the gateway runs."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.manifest import Keys, dump
from tests.gateway.conftest import ALL_KEY, CHAT, LLAMA_KEY, Gateway, keys, manifest, route, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.gateway.upstream_server import UpstreamServer


@pytest.fixture
def own_gateway(tmp_path: Path, upstream: UpstreamServer) -> Iterator[Gateway]:
    with running(tmp_path, manifest(route("a", upstream.port)), with_keys=True) as process:
        yield process


def put(path: Path, text: str) -> str:
    """Put *text* under *path* as ``apply`` does: whole, by a rename. Returns its SHA-256."""
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)
    return hashlib.sha256(text.encode()).hexdigest()


def in_use(gateway: Gateway) -> str:
    found: str = gateway.request("GET", "/ready", key=None)[2]["manifest"]
    return found


def wait_for_manifest(gateway: Gateway, sha256: str) -> None:
    end = time.monotonic() + 5
    while in_use(gateway) != sha256:
        assert time.monotonic() < end, gateway.log.read_text()


def test_twenty_swaps_under_load_fail_no_request(own_gateway: Gateway, upstream: UpstreamServer) -> None:
    stop = threading.Event()
    failed: list[object] = []
    done = [0, 0]

    def load(*, stream: bool) -> None:
        while not stop.is_set():
            status, _, body = own_gateway.chat("a", {"mode": "stream" if stream else "json"}, stream=stream)
            done[stream] += 1
            if status != 200 or (stream and b"[DONE]" not in body):
                failed.append((status, body))

    threads = [threading.Thread(target=load, kwargs={"stream": stream}) for stream in (False, True, False, True)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20):
            others = [route(f"other{number}", upstream.port)] if number % 2 else []
            content = manifest(route("a", upstream.port, upstream_model=f"engine{number}"), *others)
            wait_for_manifest(own_gateway, put(own_gateway.manifest, dump(content)))
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert not failed
    assert min(done) > 20
    assert own_gateway.request("GET", "/v1/models/other19")[0] == 200
    assert own_gateway.request("GET", "/v1/models/other17")[0] == 404


def test_a_bad_manifest_is_refused_once_and_the_old_one_stays(own_gateway: Gateway) -> None:
    before = in_use(own_gateway)
    twice = dump(manifest(route("b", 1), route("b", 2)))
    for number, bad in enumerate(["", "{", '{"manifest_version": 99}', twice], 1):
        put(own_gateway.manifest, bad)
        wait_for_refusals(own_gateway, number)
        assert own_gateway.chat("a")[0] == 200
        assert in_use(own_gateway) == before

    wait_for_manifest(own_gateway, put(own_gateway.manifest, dump(manifest(route("c", 1)))))
    assert len(refusals(own_gateway)) == 4
    assert {line["file"] for line in refusals(own_gateway)} == {str(own_gateway.manifest)}


def wait_for_refusals(gateway: Gateway, count: int) -> None:
    gateway.logged(lambda _: len(refusals(gateway)) == count)


def refusals(gateway: Gateway) -> list[dict[str, Any]]:
    return [line for line in gateway.log_lines() if line.get("event") == "refused"]


def test_a_manifest_that_vanishes_leaves_the_old_one_in_use(own_gateway: Gateway) -> None:
    own_gateway.manifest.unlink()

    own_gateway.logged(lambda line: line.get("event") == "refused")
    assert own_gateway.chat("a")[0] == 200


def test_a_generations_link_is_followed_when_it_moves(tmp_path: Path, upstream: UpstreamServer) -> None:
    generations = [tmp_path / "generations" / name for name in ("1", "2")]
    for number, folder in enumerate(generations, 1):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(dump(manifest(route(f"of-{number}", upstream.port))))
    (tmp_path / "current").symlink_to(generations[0])

    with running(tmp_path, manifest()) as gateway:
        gateway.manifest.unlink()
        gateway.manifest.symlink_to(tmp_path / "current" / "manifest.json")
        gateway.logged(lambda line: line.get("event") == "loaded" and line["models"] == 1)
        assert gateway.chat("of-1")[0] == 200

        (tmp_path / "next").symlink_to(generations[1])
        (tmp_path / "next").replace(tmp_path / "current")
        sha256 = hashlib.sha256((generations[1] / "manifest.json").read_bytes()).hexdigest()
        wait_for_manifest(gateway, sha256)
        assert (gateway.chat("of-1")[0], gateway.chat("of-2")[0]) == (404, 200)


def test_a_key_can_be_taken_back(own_gateway: Gateway) -> None:
    assert own_gateway.request("GET", "/v1/models", key=LLAMA_KEY)[0] == 200
    left = Keys(keys=tuple(key for key in keys().keys if key.name == "everything"))

    put(own_gateway.manifest.with_name("keys.json"), dump(left))
    own_gateway.logged(lambda line: line.get("keys") == 1)

    assert own_gateway.request("GET", "/v1/models", key=ALL_KEY)[0] == 200
    assert own_gateway.request("POST", CHAT, {"model": "a"}, key=LLAMA_KEY)[0] == 401


def test_keys_that_vanish_let_nobody_in(own_gateway: Gateway) -> None:
    own_gateway.manifest.with_name("keys.json").unlink()

    own_gateway.logged(lambda line: line.get("event") == "refused")
    assert own_gateway.request("GET", "/v1/models", key=None)[0] == 401
    assert own_gateway.request("GET", "/v1/models")[0] == 200
