"""Models that stand in while no server of a model can be reached or is ready."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import openai
import pytest

from modelgrid.gateway.routing import RoutingTable
from modelgrid.manifest import ManifestError
from tests.gateway.conftest import ALL_KEY, CHAT, LLAMA_KEY, Gateway, free_port, manifest, route, running
from tests.gateway.upstream_server import UpstreamServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def loading() -> Iterator[UpstreamServer]:
    with UpstreamServer(loading=True) as server:
        yield server


@pytest.fixture(scope="module")
def backed_up(
    tmp_path_factory: pytest.TempPathFactory, upstream: UpstreamServer, loading: UpstreamServer
) -> Iterator[Gateway]:
    routes = manifest(
        route("llama3:8b", upstream.port, aliases=("gpt-4o",), upstream_model="engine/llama"),
        route("Qwen/Qwen2.5-7B", upstream.port),
        route("embedder", upstream.port, apis=("/v1/embeddings",)),
        route("down", free_port()),
        route("chat", free_port(), free_port(), fallback=("down", "embedder", "llama3:8b", "Qwen/Qwen2.5-7B")),
        route("llama-chat", free_port(), fallback=("Qwen/Qwen2.5-7B",)),
        route("chained", free_port(), fallback=("chat",)),
        route("up", upstream.port, fallback=("llama3:8b",)),
        route("loads", loading.port, fallback=("llama3:8b",)),
        route("loads-alone", loading.port, free_port(), fallback=("down",)),
        route("half-loaded", loading.port, upstream.port, fallback=("llama3:8b",)),
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


@pytest.mark.parametrize("mode", ["die", "stall", "head_then_die", "chunked_then_die"])
def test_a_server_that_may_have_seen_the_request_is_not_replaced(
    backed_up: Gateway, upstream: UpstreamServer, mode: str
) -> None:
    status, headers, _ = backed_up.chat("up", {"mode": mode, "mark": f"taken-{mode}"})

    assert status in {502, 504}
    assert "x-modelgrid-fallback" not in headers
    assert {request.json["model"] for request in upstream.marked(f"taken-{mode}")} == {"up"}


def test_a_stream_that_broke_after_its_first_byte_is_not_begun_again(
    backed_up: Gateway, upstream: UpstreamServer
) -> None:
    status, headers, _ = backed_up.chat("up", {"mode": "stream_then_die", "mark": "begun-1"}, stream=True)

    assert status == 200
    assert "x-modelgrid-fallback" not in headers
    assert {request.json["model"] for request in upstream.marked("begun-1")} == {"up"}


def test_only_the_name_changes_in_the_body(backed_up: Gateway, upstream: UpstreamServer) -> None:
    body = b'{ "messages" : ["%b"],  "model":"chat" ,"fake":{"mark":"whole-1"}, "n": 1.50 }' % (b"\xc3\xa9" * 300_000)
    status, _, _ = backed_up.request("POST", CHAT, body)

    assert status == 200
    assert [request.body for request in upstream.marked("whole-1")] == [body.replace(b'"chat"', b'"engine/llama"')]


def test_openais_client_reads_a_stream_from_it(backed_up: Gateway) -> None:
    with openai.OpenAI(base_url=backed_up.url, api_key=ALL_KEY, max_retries=0) as api:
        stream = api.chat.completions.create(model="chat", messages=[], stream=True)
        assert [chunk.choices[0].delta.content for chunk in stream] == ["t0 ", "t1 ", "t2 "]


def test_a_client_that_leaves_ends_its_work(backed_up: Gateway, upstream: UpstreamServer) -> None:
    fake = {"mode": "stream", "chunks": 500, "delay": 0.05, "mark": "left-fallback"}
    body = json.dumps({"model": "chat", "messages": [], "stream": True, "fake": fake}).encode()
    with backed_up.connect() as connection:
        connection.sendall(
            b"POST %b HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (CHAT.encode(), ALL_KEY.encode(), len(body), body)
        )
        assert connection.recv(65536)
    left = time.monotonic()
    [request] = upstream.marked("left-fallback")

    assert upstream.wait_for(lambda: request.closed_at is not None)
    assert request.closed_at is not None
    assert request.closed_at - left < 0.6
    line = backed_up.logged(lambda line: line.get("id") == request.header("x-request-id"))
    assert (line["fallback"], line["client_left"], line["failed"]) == ("llama3:8b", True, None)


@pytest.mark.parametrize("fallback", [("nobody",), ("alias",), ("a",)])
def test_a_manifest_that_falls_back_to_no_other_model_is_refused(fallback: tuple[str, ...]) -> None:
    with pytest.raises(ManifestError, match=f"'a' cannot fall back to {fallback[0]}"):
        RoutingTable(manifest(route("a", 1, fallback=fallback), route("b", 1, aliases=("alias",))))


def test_one_that_stands_in_and_breaks_is_the_one_that_failed(backed_up: Gateway) -> None:
    status, headers, answer = backed_up.chat("chat", {"mode": "die"})

    assert status == 502
    assert "`llama3:8b`" in answer["error"]["message"]
    line = backed_up.logged(lambda found: found.get("id") == headers["x-request-id"])
    assert (line["model"], line["fallback"]) == ("chat", "llama3:8b")
    assert headers["x-modelgrid-fallback"] == "llama3:8b"


def test_a_server_that_is_still_loading_is_stood_in_for_and_the_body_goes_out_whole_again(
    backed_up: Gateway, upstream: UpstreamServer, loading: UpstreamServer
) -> None:
    body = b'{ "messages" : ["%b"],  "model":"loads" ,"fake":{"mark":"whole-2"}, "n": 1.50 }' % (b"\xc3\xa9" * 300_000)
    status, headers, _ = backed_up.request("POST", CHAT, body)

    assert (status, headers["x-modelgrid-fallback"]) == (200, "llama3:8b")
    assert [request.body for request in loading.marked("whole-2")] == [body]
    sent = body.replace(b'"loads"', b'"engine/llama"')
    assert [request.body for request in upstream.marked("whole-2")] == [sent]


def test_a_replica_that_is_ready_is_asked_before_a_fallback(
    backed_up: Gateway, upstream: UpstreamServer, loading: UpstreamServer
) -> None:
    answers = [backed_up.chat("half-loaded", {"mark": "half-1"}) for _ in range(5)]

    assert [(status, headers["x-modelgrid-fallback"]) for status, headers, _ in answers] == [(200, None)] * 5
    assert len(upstream.marked("half-1")) == 5
    assert len(loading.marked("half-1")) <= 1, "one that was not ready is tried last for a while"


def test_what_is_not_ready_says_when_to_come_back_and_is_the_one_that_is_told(backed_up: Gateway) -> None:
    status, headers, answer = backed_up.chat("loads-alone")

    assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "model_unavailable", "7")
    assert "`loads-alone` is not ready or is overloaded" in answer["error"]["message"]
    assert (headers["x-modelgrid-fallback"], headers["x-modelgrid-error"]) == (None, "model")


@pytest.mark.parametrize(
    ("status", "expected"), [("400 Bad Request", 400), ("500 Internal Server Error", 502), ("504 Gateway Timeout", 504)]
)
def test_an_answer_of_one_that_stands_in_names_it_whatever_it_is(
    backed_up: Gateway, status: str, expected: int
) -> None:
    fake = {"mode": "raw", "text": f"HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno"}
    found, headers, _ = backed_up.chat("chat", fake)

    assert (found, headers["x-modelgrid-fallback"]) == (expected, "llama3:8b")
