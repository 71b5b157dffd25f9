"""What a client sees when the model's server fails, in each of the ways that it can."""

from __future__ import annotations

import http.client
import json
from typing import Any

import openai
import pytest

from tests.gateway.conftest import ALL_KEY, CHAT, Gateway
from tests.gateway.upstream_server import UpstreamServer, chunk_event

SECRET_TEXT = "engine-internal-0xdeadbeef"


def raw(status: str, body: str, *fields: str) -> dict[str, Any]:
    head = "".join(f"{field}\r\n" for field in fields)
    return {"mode": "raw", "text": f"HTTP/1.1 {status}\r\n{head}content-length: {len(body)}\r\n\r\n{body}"}


def test_a_server_that_cannot_be_reached_is_unavailable_for_now(gateway: Gateway) -> None:
    status, headers, answer = gateway.chat("down")

    assert (status, answer["error"]["code"], answer["error"]["type"]) == (503, "model_unavailable", "server_error")
    assert (headers["retry-after"], headers["x-modelgrid-error"]) == ("5", "model")


@pytest.mark.parametrize(
    ("fake", "expected"),
    [
        ({"mode": "die"}, 502),
        ({"mode": "head_then_die"}, 502),
        ({"mode": "chunked_then_die"}, 502),
        ({"mode": "stall"}, 504),
        ({"mode": "raw", "text": "SSH-2.0-OpenSSH\r\n\r\n"}, 502),
        ({"mode": "raw", "text": "HTTP/1.1 200 OK\r\n\r\nno length"}, 502),
        (raw("500 Internal Server Error", SECRET_TEXT), 502),
        (raw("504 Gateway Timeout", SECRET_TEXT), 504),
        (raw("307 Temporary Redirect", "", "location: http://127.0.0.1:1/"), 502),
        (raw("401 Unauthorized", SECRET_TEXT), 502),
    ],
)
def test_a_failed_server_is_told_from_a_failed_gateway(gateway: Gateway, fake: dict[str, Any], expected: int) -> None:
    status, headers, answer = gateway.chat("llama3:8b", fake)

    assert status == expected
    assert headers["x-modelgrid-error"] == "model"
    assert answer["error"]["type"] == "server_error"
    assert headers["x-request-id"] in answer["error"]["message"]
    assert SECRET_TEXT not in str(answer)


@pytest.mark.parametrize(("fields", "expected"), [(["retry-after: 7"], "7"), (["retry-after: x"], "5"), ([], "5")])
def test_an_overloaded_server_says_when_to_come_back(gateway: Gateway, fields: list[str], expected: str) -> None:
    status, headers, answer = gateway.chat("llama3:8b", raw("503 Service Unavailable", SECRET_TEXT, *fields))

    assert (status, headers["retry-after"], answer["error"]["code"]) == (503, expected, "model_unavailable")
    assert SECRET_TEXT not in str(answer)


def test_an_engines_refusal_is_passed_on_in_openais_form(gateway: Gateway) -> None:
    status, headers, answer = gateway.chat("llama3:8b", raw("422 Unprocessable", '{"detail": "context is too long"}'))

    assert (status, headers["x-modelgrid-error"]) == (422, "model")
    assert answer == {
        "error": {
            "message": "context is too long",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }


def test_a_busy_engines_waiting_time_is_passed_on(gateway: Gateway) -> None:
    status, headers, _ = gateway.chat("llama3:8b", raw("429 Too Many Requests", '{"error": "busy"}', "retry-after: 3"))

    assert (status, headers["retry-after"]) == (429, "3")


def test_an_answer_that_breaks_off_is_broken_off_for_the_client(gateway: Gateway) -> None:
    with pytest.raises(http.client.IncompleteRead):
        gateway.chat("llama3:8b", {"mode": "json_then_die"})


def test_a_kept_connection_that_died_is_replaced_without_the_client_noticing(
    gateway: Gateway, upstream: UpstreamServer
) -> None:
    assert gateway.chat("Qwen/Qwen2.5-7B", {"mode": "die_on_next", "mark": "stale-1"})[0] == 200
    assert gateway.chat("Qwen/Qwen2.5-7B", {"mark": "stale-1"})[0] == 200

    first, died, again = (request.connection for request in upstream.marked("stale-1"))
    assert first == died != again


def test_a_new_connection_that_dies_is_not_tried_again(gateway: Gateway, upstream: UpstreamServer) -> None:
    for _ in range(2):  # the second time at the latest there is no kept connection left
        gateway.chat("llama3:8b", {"mode": "die", "mark": "dies-1"})
    before = len(upstream.marked("dies-1"))

    gateway.chat("llama3:8b", {"mode": "die", "mark": "dies-1"})

    assert len(upstream.marked("dies-1")) == before + 1


@pytest.mark.parametrize(("mode", "code"), [("stream_then_die", "model_error"), ("stream_then_stall", "model_timeout")])
def test_a_broken_stream_ends_with_an_error_event_and_not_as_if_complete(
    gateway: Gateway, mode: str, code: str
) -> None:
    status, headers, body = gateway.chat("llama3:8b", {"mode": mode}, stream=True)

    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert body.startswith(chunk_event("a") + b'data: {"error":')
    error = json.loads(body.split(b"\n\n")[1].removeprefix(b"data: "))["error"]
    assert (error["code"], error["type"]) == (code, "server_error")
    assert headers["x-request-id"] in error["message"]
    assert b"[DONE]" not in body
    assert body.endswith(b"\n\n")


def test_openais_client_raises_the_error_of_a_broken_stream(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=gateway.url, api_key=ALL_KEY, max_retries=0) as api:
        stream = api.chat.completions.create(
            model="llama3:8b", messages=[], stream=True, extra_body={"fake": {"mode": "stream_then_die"}}
        )
        with pytest.raises(openai.APIError, match="closed the connection"):
            list(stream)


def test_a_failure_is_logged_with_who_failed(gateway: Gateway) -> None:
    _, headers, _ = gateway.chat("llama3:8b", {"mode": "stream_then_die"}, stream=True)

    line = gateway.logged(lambda line: line.get("id") == headers["x-request-id"])
    assert (line["failed"], line["path"], line["stream"]) == ("model", CHAT, True)
