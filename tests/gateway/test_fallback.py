"""Models that stand in while no server of a model can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelgrid.gateway.routing import RoutingTable
from modelgrid.manifest import ManifestError
from tests.gateway.conftest import CHAT, LLAMA_KEY, Gateway, free_port, manifest, route, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway.upstream_server import UpstreamServer


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory, upstream: UpstreamServer) -> Iterator[Gateway]:
    routes = manifest(
        route("llama3:8b", upstream.port, aliases=("gpt-4o",), upstream_model="engine/llama"),
        route("Qwen/Qwen2.5-7B", upstream.port),
        route("embedder", upstream.port, apis=("/v1/embeddings",)),
        route("down", free_port()),
        route("chat", free_port(), free_port(), fallback=("down", "embedder", "llama3:8b", "Qwen/Qwen2.5-7B")),
        route("llama-chat", free_port(), fallback=("Qwen/Qwen2.5-7B",)),
        route("chained", free_port(), fallback=("chat",)),
        route("up", upstream.port, fallback=("llama3:8b",)),
    )
    timeouts = {"connect": 1.0, "first_byte": 0.7, "idle": 0.7}
    with running(tmp_path_factory.mktemp("gateway"), routes, with_keys=True, timeouts=timeouts) as process:
        yield process


def test_the_first_that_serves_the_path_and_can_be_reached_answers(
    backed_up: Gateway, upstream: UpstreamServer
) -> None:
    status, headers, _ = backed_up.chat("chat", text="a" * 100_000)
    (seen,) = [item for item in upstream.requests if item.header("x-request-id") == headers["x-request-id"]]

    assert (status, headers["x-modelgrid-fallback"]) == (200, "llama3:8b")
    assert (seen.path, seen.json["model"]) == (CHAT, "engine/llama")
    assert seen.json["text"] == "a" * 100_000
    line = backed_up.logged(lambda found: found.get("id") == headers["x-request-id"])
    assert (line["model"], line["fallback"]) == ("chat", "llama3:8b")


def test_a_stream_comes_from_it_as_well(backed_up: Gateway) -> None:
    status, headers, body = backed_up.chat("chat", stream=True)

    assert (status, headers["x-modelgrid-fallback"]) == (200, "llama3:8b")
    assert headers["content-type"].startswith("text/event-stream")
    assert body


def test_a_key_does_not_get_a_model_that_it_may_not_ask_for(backed_up: Gateway) -> None:
    body = {"model": "llama-chat", "messages": []}
    status, headers, answer = backed_up.request("POST", CHAT, body, key=LLAMA_KEY)
    assert (status, answer["error"]["code"]) == (503, "model_unavailable")
    assert "Qwen" not in str(answer)
    assert "x-modelgrid-fallback" not in headers

    assert backed_up.request("POST", CHAT, body)[1]["x-modelgrid-fallback"] == "Qwen/Qwen2.5-7B"


def test_the_fallback_of_a_fallback_is_not_asked(backed_up: Gateway) -> None:
    status, _, answer = backed_up.chat("chained")

    assert status == 503
    assert "`chained`" in answer["error"]["message"]


def test_a_model_that_answers_needs_none(backed_up: Gateway) -> None:
    assert "x-modelgrid-fallback" not in backed_up.chat("up")[1]


@pytest.mark.parametrize("fake", [{"mode": "die"}, {"mode": "stall"}])
def test_a_server_that_may_have_seen_the_request_is_not_replaced(backed_up: Gateway, fake: dict[str, str]) -> None:
    status, headers, _ = backed_up.chat("up", fake)

    assert status in {502, 504}
    assert "x-modelgrid-fallback" not in headers


@pytest.mark.parametrize("fallback", [("nobody",), ("alias",), ("a",)])
def test_a_manifest_that_falls_back_to_no_other_model_is_refused(fallback: tuple[str, ...]) -> None:
    with pytest.raises(ManifestError, match=f"'a' cannot fall back to {fallback[0]}"):
        RoutingTable(manifest(route("a", 1, fallback=fallback), route("b", 1, aliases=("alias",))))
