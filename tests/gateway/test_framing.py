"""Requests that are wrong on the wire: refused in OpenAI's form, and no byte of them reaches a server."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.gateway.conftest import ALL_KEY, CHAT, MAX_BODY, Gateway, read_all

if TYPE_CHECKING:
    from tests.gateway.upstream_server import UpstreamServer

AUTHORIZATION = f"authorization: Bearer {ALL_KEY}"


def exchange(
    gateway: Gateway, *lines: str, body: bytes = b"", half_close: bool = False
) -> tuple[int, dict[str, str], bytes]:
    """Send these lines and a body; return status, header fields and body of the answer."""
    with gateway.connect() as connection:
        connection.sendall("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1") + body)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    head, _, content = answer.partition(b"\r\n\r\n")
    if not head:
        return 0, {}, b""
    status, *lines_back = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines_back)
    return int(status.split(" ")[1]), fields, content


def chat_lines(*fields: str, host: str = "host: gateway:8080") -> list[str]:
    return [f"POST {CHAT} HTTP/1.1", host, AUTHORIZATION, "content-type: application/json", *fields]


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["host: "],
        ["host: a", "host: b"],
        ["host: a", "host: a"],
        ["host: a/v1"],
        ["host: a?x"],
        ["host: a#x"],
        ["host: user@a"],
        ["host: a b"],
        ["host: a:b"],
        ["host: a:123456"],
        ["host: [::1"],
        ["host: a,b"],
        ["host: \xe9"],
    ],
)
@pytest.mark.parametrize("path", ["/health", "/v1/models"])
def test_a_bad_host_is_refused(gateway: Gateway, hosts: list[str], path: str) -> None:
    status, _, _ = exchange(gateway, f"GET {path} HTTP/1.1", *hosts, AUTHORIZATION)

    assert status == 400


@pytest.mark.parametrize("host", ["a", "a:1", "10.0.0.1:8080", "[::1]:8080", "my_host-1.example.com"])
def test_a_good_host_is_taken(gateway: Gateway, host: str) -> None:
    assert exchange(gateway, "GET /v1/models HTTP/1.1", f"host: {host}", AUTHORIZATION)[0] == 200


@pytest.mark.parametrize(
    "fields",
    [
        [AUTHORIZATION, AUTHORIZATION],
        [AUTHORIZATION, "authorization: Bearer x"],
        [f"x-api-key: {ALL_KEY}"],
        [f"proxy-authorization: Bearer {ALL_KEY}"],
        [f"authorization: Basic {ALL_KEY}"],
        [f"authorization: {ALL_KEY}"],
        ["authorization: Bearer"],
        ["authorization: Bearer "],
        [f"authorization: Bearer {ALL_KEY} x"],
        [f"authorization: Bearer {ALL_KEY}, Bearer x"],
        [f"authorization: Bearer {ALL_KEY.upper()}"],
        ["authorization: Bearer sk-\xe9"],
    ],
)
def test_anything_but_one_bearer_key_is_unauthorized(gateway: Gateway, fields: list[str]) -> None:
    status, headers, body = exchange(gateway, f"GET /v1/models?key={ALL_KEY} HTTP/1.1", "host: a", *fields)

    assert status == 401
    assert json.loads(body)["error"]["code"] == "invalid_api_key"
    assert headers["x-modelgrid-error"] == "gateway"


def test_the_name_of_the_scheme_may_be_written_in_any_case(gateway: Gateway) -> None:
    assert exchange(gateway, "GET /v1/models HTTP/1.1", "host: a", f"authorization: bEARER  {ALL_KEY}")[0] == 200


def test_a_chunked_body_is_read(gateway: Gateway) -> None:
    body = b'{"model": "llama3:8b", "fake": {"mode": "json"}}'
    parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:9], body[9:])) + b"0\r\n\r\n"

    assert exchange(gateway, *chat_lines("transfer-encoding: chunked"), body=parts)[0] == 200


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (["content-length: 500"], b'{"model": "llama3:8b", "fake": {"mark": "partial-1"}}'),
        (["transfer-encoding: chunked"], b'35\r\n{"model": "llama3:8b", "fake": {"mark": "partial-1"}}\r\nxyz\r\n'),
        (["transfer-encoding: chunked"], b'35\r\n{"model": "llama3:8b", "fake": {"mark": "partial-1"}}\r\n'),
        (["transfer-encoding: chunked"], b'35\r\n{"model": "llama3:8b", "fake": {"mark": "partial-1"}}xx0\r\n\r\n'),
    ],
    ids=["short", "bad size", "no end", "overlong chunk"],
)
def test_a_partial_body_is_never_forwarded(
    gateway: Gateway, upstream: UpstreamServer, fields: list[str], body: bytes
) -> None:
    status, _, _ = exchange(gateway, *chat_lines(*fields), body=body, half_close=True)

    assert status != 200
    assert gateway.chat("llama3:8b", {"mark": "after-partial"})[0] == 200
    assert not upstream.marked("partial-1")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "embedder", "model": "llama3:8b", "fake": {"mark": "bad-1"}}',
        b'{"model": "llama3:8b", "m\\u006fdel": "embedder", "fake": {"mark": "bad-1"}}',
        b'{"model": "llama3:8b", "MODEL": "embedder", "fake": {"mark": "bad-1"}}',
        b'{"model": "llama3:8b", "fake": {"mark": "bad-1"}',
        b'{"model": "llama3:8b", "fake": {"mark": "bad-1"}} {}',
        b'[{"model": "llama3:8b", "fake": {"mark": "bad-1"}}]',
        b'{"model": ["llama3:8b"], "fake": {"mark": "bad-1"}}',
        b'{"fake": {"mark": "bad-1"}}',
        b'{"model": "", "fake": {"mark": "bad-1"}}',
        b'{"model": "llama3:8b", "fake": {"mark": "bad-1"}, "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"",
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_not_one_clear_object_is_refused(
    gateway: Gateway, upstream: UpstreamServer, body: bytes
) -> None:
    status, _, answer = gateway.request("POST", CHAT, body)

    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert not upstream.marked("bad-1")


@pytest.mark.parametrize(
    "fields",
    [{"content_type": "text/plain"}, {"content_type": "application/x-www-form-urlencoded"}, {"content_type": ""}],
)
def test_a_body_that_is_not_called_json_is_refused(gateway: Gateway, fields: dict[str, str]) -> None:
    status, _, answer = gateway.request("POST", CHAT, b'{"model": "llama3:8b"}', **fields)

    assert (status, answer["error"]["code"]) == (415, "unsupported_content_type")


def test_a_compressed_body_is_refused(gateway: Gateway) -> None:
    status, _, answer = gateway.request("POST", CHAT, b"{}", content_type="application/json", content_encoding="gzip")

    assert (status, answer["error"]["code"]) == (415, "unsupported_content_encoding")


def test_a_body_over_the_limit_is_refused_by_its_length(gateway: Gateway) -> None:
    status, _, body = exchange(gateway, *chat_lines(f"content-length: {MAX_BODY + 1}"), body=b"{")

    assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")


def test_a_body_that_grows_over_the_limit_is_refused(gateway: Gateway) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with gateway.connect() as connection:
        connection.sendall("\r\n".join([*chat_lines("transfer-encoding: chunked"), "", ""]).encode())
        for _ in range(MAX_BODY // 0x10000 + 1):
            connection.sendall(chunk)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_at_the_limit_is_taken(gateway: Gateway) -> None:
    body = b'{"model": "llama3:8b"}'

    assert gateway.request("POST", CHAT, body.ljust(MAX_BODY))[0] == 200


def test_a_body_that_stalls_is_given_up(gateway: Gateway) -> None:
    status, _, body = exchange(gateway, *chat_lines("content-length: 100"), body=b'{"model": ')

    assert (status, json.loads(body)["error"]["code"]) == (408, "request_timeout")


def test_a_head_over_the_limit_is_refused(gateway: Gateway) -> None:
    status, _, _ = exchange(gateway, "GET /v1/models HTTP/1.1", "host: a", f"x-long: {'x' * 100_000}", AUTHORIZATION)

    assert status == 431


def test_both_lengths_cannot_smuggle_a_request(gateway: Gateway, upstream: UpstreamServer) -> None:
    inner = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\n{AUTHORIZATION}\r\ncontent-length: 60\r\n\r\n".encode()
    body = b"0\r\n\r\n" + inner + b'{"model": "llama3:8b", "fake": {"mark": "smuggled-1"}}'

    exchange(gateway, *chat_lines(f"content-length: {len(body)}", "transfer-encoding: chunked"), body=body)

    assert gateway.chat("llama3:8b", {"mark": "after-smuggling"})[0] == 200
    assert not upstream.marked("smuggled-1")
