"""Answers on their way: as they come, unchanged, no faster than the client reads, ended when it leaves."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.gateway.conftest import ALL_KEY, CHAT, Gateway, read_all
from tests.gateway.upstream_server import DONE, UpstreamServer, chunk_event

if TYPE_CHECKING:
    import socket


def post(gateway: Gateway, fake: dict[str, Any], **fields: Any) -> socket.socket:
    """A chat request on a raw connection, sent and not yet answered."""
    body = json.dumps({"model": "llama3:8b", "messages": [], "fake": fake, **fields}).encode()
    connection = gateway.connect()
    connection.sendall(
        b"POST %b HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer %b\r\nconnection: close\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (CHAT.encode(), ALL_KEY.encode(), len(body), body)
    )
    return connection


def test_chunks_arrive_as_they_are_made(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=gateway.url, api_key=ALL_KEY) as api:
        fake = {"mode": "stream", "chunks": 4, "delay": 0.1}
        stream = api.chat.completions.create(model="gpt-4o", messages=[], stream=True, extra_body={"fake": fake})
        arrived = [time.monotonic() for _ in stream]

    assert len(arrived) == 4
    assert arrived[-1] - arrived[0] > 0.25


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_stream_cut_at_every_byte_arrives_unchanged(gateway: Gateway, end: str) -> None:
    text = f": ping{end}{end}event: a{end}data: 1{end}data: 2{end}{end}data: [DONE]{end}{end}tail"

    status, _, body = gateway.chat("llama3:8b", {"mode": "bytewise", "text": text}, stream=True)

    assert (status, body.decode()) == (200, text)


def test_two_thousand_chunks_at_once_arrive_in_order(gateway: Gateway) -> None:
    _, _, body = gateway.chat("llama3:8b", {"mode": "stream", "chunks": 2000}, stream=True)

    assert body == b"".join(chunk_event(f"t{number} ") for number in range(2000)) + DONE


def test_many_streams_at_once_keep_apart(gateway: Gateway) -> None:
    bodies: dict[int, bytes] = {}

    def read(count: int) -> None:
        bodies[count] = gateway.chat("llama3:8b", {"mode": "stream", "chunks": count}, stream=True)[2]

    threads = [threading.Thread(target=read, args=(count,)) for count in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {count: body.count(b"data: {") for count, body in bodies.items()} == {n: n for n in range(40)}


@pytest.mark.parametrize(
    "fake",
    [
        {"mode": "stream", "chunks": 500, "delay": 0.05, "mark": "left-stream"},
        {"mode": "stall", "mark": "left-stall"},
        {"mode": "stream_then_stall", "mark": "left-mid"},
    ],
    ids=lambda fake: fake["mark"],
)
def test_a_client_that_leaves_ends_the_servers_work_within_a_second(
    gateway: Gateway, upstream: UpstreamServer, fake: dict[str, Any]
) -> None:
    connection = post(gateway, fake, stream=fake["mode"] != "stall")
    assert upstream.wait_for(lambda: any(fake["mark"].encode() in request.body for request in upstream.requests))
    [request] = upstream.marked(fake["mark"])
    if fake["mode"] != "stall":
        connection.recv(65536)
    connection.close()
    left = time.monotonic()

    assert upstream.wait_for(lambda: request.closed_at is not None)
    assert request.closed_at is not None
    assert request.closed_at - left < 0.6  # under the gateway's own time limits in these tests
    line = gateway.logged(lambda line: line.get("id") == request.header("x-request-id"))
    assert (line["client_left"], line["failed"], line["whole"]) == (True, None, False)


def test_a_client_that_does_not_read_stops_the_server(gateway: Gateway, upstream: UpstreamServer) -> None:
    length = 48 * 1024 * 1024
    with post(gateway, {"mode": "flood", "blocks": length // 65536, "mark": "flood-1"}) as connection:
        assert upstream.wait_for(lambda: any(b"flood-1" in request.body for request in upstream.requests))
        [request] = upstream.marked("flood-1")
        written = 0
        # until nothing more was taken from the server for a while
        while upstream.wait_for(partial(lambda known: request.written > known, written), 0.4):
            written = request.written
        assert 0 < request.written < length / 2
        answer = read_all(connection)

    assert len(answer.partition(b"\r\n\r\n")[2]) == length  # and nothing of it was lost


def test_a_client_that_leaves_without_having_read_ends_the_servers_work_too(
    gateway: Gateway, upstream: UpstreamServer
) -> None:
    with post(gateway, {"mode": "flood", "blocks": 768, "mark": "flood-2"}):
        assert upstream.wait_for(lambda: any(request.written for request in upstream.marked("flood-2")))
        [request] = upstream.marked("flood-2")
        written = 0
        while upstream.wait_for(partial(lambda known: request.written > known, written), 0.2):
            written = request.written
    left = time.monotonic()

    assert upstream.wait_for(lambda: request.closed_at is not None)
    assert request.closed_at is not None
    assert request.closed_at - left < 1
