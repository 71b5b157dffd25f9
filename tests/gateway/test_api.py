"""What OpenAI's client sees through the real gateway, with a real server behind it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import openai
import pytest

from tests.gateway.conftest import ALL_KEY, CHAT, LLAMA_KEY, Gateway

if TYPE_CHECKING:
    from tests.gateway.upstream_server import UpstreamServer


def client(gateway: Gateway, key: str = ALL_KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.url, api_key=key, max_retries=0, timeout=10)


def test_models_are_listed_by_name_without_aliases(gateway: Gateway) -> None:
    with client(gateway) as api:
        models = list(api.models.list())

    assert [model.id for model in models] == ["Qwen/Qwen2.5-7B", "down", "embedder", "half-down", "llama3:8b", "pair"]
    assert models[0].owned_by == "fake"


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-7B", "llama3:8b"])
def test_a_model_with_slashes_and_colons_is_found(gateway: Gateway, name: str) -> None:
    with client(gateway) as api:
        assert api.models.retrieve(name).id == name


def test_an_alias_shows_the_model_behind_it(gateway: Gateway) -> None:
    with client(gateway) as api:
        assert api.models.retrieve("gpt-4o").id == "llama3:8b"


def test_a_chat_is_completed(gateway: Gateway) -> None:
    with client(gateway) as api:
        answer = api.chat.completions.create(model="llama3:8b", messages=[{"role": "user", "content": "Hi"}])

    assert answer.choices[0].message.content == "Hello there."


def test_a_chat_is_streamed(gateway: Gateway) -> None:
    with client(gateway) as api:
        stream = api.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}], stream=True)
        texts = [chunk.choices[0].delta.content for chunk in stream]

    assert texts == ["t0 ", "t1 ", "t2 "]


def test_a_text_is_completed(gateway: Gateway) -> None:
    with client(gateway) as api:
        assert api.completions.create(model="llama3:8b", prompt="Hi").id == "chatcmpl-1"


def test_a_text_is_embedded(gateway: Gateway) -> None:
    with client(gateway) as api:
        answer = api.embeddings.create(model="embedder", input="Hi", encoding_format="float")

    assert answer.data[0].embedding == [0.25, -0.5]


def test_a_chunked_answer_arrives_whole_and_with_its_length(gateway: Gateway) -> None:
    status, headers, body = gateway.chat("llama3:8b", {"mode": "chunked"})

    assert (status, body["id"]) == (200, "chatcmpl-1")
    assert "content-length" in headers


def test_a_path_that_only_the_manifest_names_is_forwarded(gateway: Gateway, upstream: UpstreamServer) -> None:
    status, _, _ = gateway.request("POST", "/v1/rerank", {"model": "embedder", "fake": {"mark": "rerank-1"}})

    assert status == 200
    assert [request.path for request in upstream.marked("rerank-1")] == ["/v1/rerank"]


def test_a_wrong_key_is_refused(gateway: Gateway) -> None:
    with client(gateway, "sk-wrong") as api, pytest.raises(openai.AuthenticationError) as caught:
        api.models.list()

    assert caught.value.code == "invalid_api_key"
    assert caught.value.response.headers["x-modelgrid-error"] == "gateway"


def test_an_unknown_model_is_not_found(gateway: Gateway) -> None:
    with client(gateway) as api, pytest.raises(openai.NotFoundError) as caught:
        api.chat.completions.create(model="gpt-9", messages=[])

    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def test_a_key_sees_only_its_models(gateway: Gateway) -> None:
    with client(gateway, LLAMA_KEY) as api:
        assert [model.id for model in api.models.list()] == ["llama3:8b"]
        assert api.models.retrieve("gpt-4o").id == "llama3:8b"  # the scope is that of the model behind the alias


@pytest.mark.parametrize(("method", "path"), [("POST", CHAT), ("GET", "/v1/models/{}")])
def test_a_forbidden_model_is_answered_as_an_unknown_one(gateway: Gateway, method: str, path: str) -> None:
    def ask(name: str) -> tuple[int, dict[str, str], str]:
        body = {"model": name} if method == "POST" else None
        status, headers, answer = gateway.request(method, path.format(name), body, key=LLAMA_KEY)
        fields = {key: value for key, value in headers.items() if key not in {"x-request-id", "date"}}
        return status, fields, str(answer).replace(name, "NAME")

    assert ask("embedder") == ask("nothing1")


def test_a_path_of_a_forbidden_model_is_answered_as_an_unknown_one(gateway: Gateway) -> None:
    def ask(path: str) -> tuple[int, str]:
        status, _, answer = gateway.request("POST", path, {"model": "llama3:8b"}, key=LLAMA_KEY)
        return status, str(answer)

    assert ask("/v1/rerank") == ask("/v1/nothing")


def test_a_model_refuses_a_path_that_it_does_not_serve(gateway: Gateway) -> None:
    status, _, answer = gateway.request("POST", CHAT, {"model": "embedder"})

    assert (status, answer["error"]["code"]) == (404, "unsupported_endpoint")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/chat", CHAT + "/", "/v1/../metrics", "/pause", "/v1/modelsx"])
def test_an_unknown_path_is_not_found(gateway: Gateway, path: str) -> None:
    status, headers, answer = gateway.request("GET", path)

    assert (status, answer["error"]["code"]) == (404, "unknown_path")
    assert headers["x-modelgrid-error"] == "gateway"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", CHAT, "POST"), ("POST", "/v1/models", "GET"), ("DELETE", "/health", "GET"), ("PUT", "/ready", "GET")],
)
def test_a_wrong_method_is_refused(gateway: Gateway, method: str, path: str, allowed: str) -> None:
    status, headers, answer = gateway.request(method, path)

    assert (status, headers["allow"], answer["error"]["code"]) == (405, allowed, "method_not_allowed")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/llama3:8b", CHAT, "/nothing", "/v1%2fmodels", "/health/"])
def test_without_a_key_nothing_but_health_is_answered(gateway: Gateway, method: str, path: str) -> None:
    body = b"{}" if method in {"POST", "PUT", "PATCH"} else None
    status, headers, _ = gateway.request(method, path, body, key=None)

    assert status == 401
    assert headers["www-authenticate"] == "Bearer"


def test_health_needs_no_key(gateway: Gateway) -> None:
    assert gateway.request("GET", "/health", key=None)[0::2] == (200, {"status": "ok"})


def test_ready_names_the_manifest_and_to_a_key_the_state_of_its_models(gateway: Gateway) -> None:
    sha256 = hashlib.sha256(gateway.manifest.read_bytes()).hexdigest()

    anybody = gateway.request("GET", "/ready", key=None)[2]
    llamas = gateway.request("GET", "/ready", key=LLAMA_KEY)[2]
    everything = gateway.request("GET", "/ready")[2]

    assert anybody == {"status": "ready", "manifest": sha256}
    assert llamas == {"status": "ready", "manifest": sha256, "models": {"llama3:8b": "ready"}}
    assert everything["models"] == {
        "Qwen/Qwen2.5-7B": "ready",
        "down": "unavailable",
        "embedder": "ready",
        "half-down": "ready",
        "llama3:8b": "ready",
        "pair": "ready",
    }


def test_every_answer_has_a_request_id_of_our_own(gateway: Gateway) -> None:
    asked = [
        gateway.request("GET", path, x_request_id="mine")[1]["x-request-id"] for path in ("/health", "/v1/models", "/x")
    ]

    assert all(re.fullmatch("[0-9a-f]{32}", identity) for identity in asked)
    assert len(set(asked)) == 3


def test_the_server_gets_its_own_model_name_and_no_header_of_the_client(
    gateway: Gateway, upstream: UpstreamServer
) -> None:
    body = b'{ "messages" : [],  "model":"gpt-4o" ,"fake":{"mark":"names-1"}, "n": 1.50 }'
    _, headers, _ = gateway.request("POST", CHAT, body, cookie="a=b", x_secret="canary")

    [request] = upstream.marked("names-1")
    assert request.body == body.replace(b'"gpt-4o"', b'"engine/llama"')
    assert request.head.decode().split("\r\n") == [
        "POST /v1/chat/completions HTTP/1.1",
        f"host: 127.0.0.1:{upstream.port}",
        "user-agent: modelgrid",
        f"content-length: {len(request.body)}",
        "content-type: application/json",
        f"x-request-id: {headers['x-request-id']}",
        "",
        "",
    ]


def test_a_trace_is_passed_on(gateway: Gateway, upstream: UpstreamServer) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for value, mark in ((trace, "trace-1"), (trace + "-x", "trace-2")):
        gateway.request("POST", CHAT, {"model": "gpt-4o", "fake": {"mark": mark}}, traceparent=value)

    assert upstream.marked("trace-1")[0].header("traceparent") == trace
    assert upstream.marked("trace-2")[0].header("traceparent") is None


def test_requests_share_a_kept_connection(gateway: Gateway, upstream: UpstreamServer) -> None:
    for _ in range(3):
        gateway.chat("llama3:8b", {"mark": "kept-1"})

    assert len({request.connection for request in upstream.marked("kept-1")}) == 1


def test_replicas_share_the_load(gateway: Gateway, upstream: UpstreamServer, second_upstream: UpstreamServer) -> None:
    for _ in range(4):
        assert gateway.chat("pair", {"mark": "pair-1"})[0] == 200

    assert len(upstream.marked("pair-1")) == len(second_upstream.marked("pair-1")) == 2


def test_a_replica_that_refuses_connections_is_passed_over(gateway: Gateway) -> None:
    assert [gateway.chat("half-down")[0] for _ in range(3)] == [200, 200, 200]


def test_the_access_log_has_names_and_times_but_no_secret_and_no_prompt(gateway: Gateway) -> None:
    _, headers, _ = gateway.request(
        "POST", CHAT + "?canary-query", {"model": "gpt-4o", "messages": ["canary-prompt"]}, key=LLAMA_KEY
    )
    gateway.request("GET", "/v1/models/canary-path")
    gateway.request("GET", "/canary-path")

    line = gateway.logged(lambda line: line.get("id") == headers["x-request-id"])
    assert (line["key"], line["model"], line["path"], line["status"]) == ("llamas", "llama3:8b", CHAT, 200)
    assert line["whole"] is True
    assert 0 < line["first_byte_ms"] <= line["ms"]
    assert "canary" not in gateway.log.read_text()
    assert LLAMA_KEY not in gateway.log.read_text()
