"""The client on its own, against a real server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.gateway.http1 import request_head
from modelgrid.gateway.upstream import (
    AbandonedError,
    Answer,
    BrokenError,
    Call,
    SilentError,
    Timeouts,
    UnreachableError,
    UpstreamClient,
    UpstreamError,
)
from modelgrid.manifest import Upstream
from tests.gateway.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.upstream_server import UpstreamServer

FAST = Timeouts(connect=0.5, first_byte=0.3, idle=0.3)


async def ask(client: UpstreamClient, ports: list[int], call: Call | None = None, **fake: Any) -> Answer:
    body = json.dumps({"model": "m", "fake": fake}).encode()
    return await client.request(
        [Upstream(host="127.0.0.1", port=port) for port in ports],
        lambda server: request_head("POST", "/v1/chat/completions", server, length=len(body)),
        body,
        call=call or Call(),
    )


async def ask_and_read(client: UpstreamClient, ports: list[int], call: Call | None = None, **fake: Any) -> bytes:
    answer = await ask(client, ports, call, **fake)
    try:
        return await answer.collect(10_000)
    finally:
        answer.close()


def with_client(use: Callable[[UpstreamClient], Awaitable[None]]) -> None:
    async def main() -> None:
        client = UpstreamClient(FAST)
        try:
            await use(client)
        finally:
            client.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fake", "error"),
    [
        ({"mode": "die"}, BrokenError),
        ({"mode": "stall"}, SilentError),
        ({"mode": "raw", "text": "nonsense\r\n\r\n"}, BrokenError),
        ({"mode": "head_then_die"}, BrokenError),
        ({"mode": "stream_then_stall"}, SilentError),
    ],
)
def test_each_failure_has_its_own_error(
    upstream: UpstreamServer, fake: dict[str, Any], error: type[UpstreamError]
) -> None:
    async def use(client: UpstreamClient) -> None:
        with pytest.raises(error):
            await ask_and_read(client, [upstream.port], **fake)

    with_client(use)


def test_what_came_before_a_break_is_read_before_the_error(upstream: UpstreamServer) -> None:
    async def use(client: UpstreamClient) -> None:
        answer = await ask(client, [upstream.port], mode="stream_then_die")
        assert (await answer.read()).startswith(b"data: ")
        with pytest.raises(BrokenError):
            await answer.read()
        answer.close()

    with_client(use)


def test_no_server_at_all_is_unreachable() -> None:
    async def use(client: UpstreamClient) -> None:
        with pytest.raises(UnreachableError):
            await ask(client, [free_port(), free_port()])

    with_client(use)


def test_the_server_with_the_least_in_flight_is_asked(
    upstream: UpstreamServer, second_upstream: UpstreamServer
) -> None:
    async def use(client: UpstreamClient) -> None:
        ports = [upstream.port, second_upstream.port]
        busy = await ask(client, ports, mode="stream", chunks=1)
        for _ in range(3):
            other = await ask(client, ports)
            assert other.upstream != busy.upstream
            other.close()
        busy.close()
        after = [await ask(client, ports) for _ in range(2)]
        assert {answer.upstream.port for answer in after} == set(ports)
        for answer in after:
            answer.close()

    with_client(use)


def test_a_kept_connection_that_dies_within_an_answer_is_not_replaced(upstream: UpstreamServer) -> None:
    async def use(client: UpstreamClient) -> None:
        await ask_and_read(client, [upstream.port], mark="half-head")
        with pytest.raises(BrokenError):
            await ask_and_read(client, [upstream.port], mark="half-head", mode="half_head_then_die")

    with_client(use)
    first, died = (request.connection for request in upstream.marked("half-head"))
    assert first == died


def test_a_server_that_is_down_is_tried_last_for_a_while(upstream: UpstreamServer) -> None:
    async def use(client: UpstreamClient) -> None:
        tried: list[int] = []

        def head(server: Upstream) -> bytes:
            tried.append(server.port)
            return request_head("GET", "/health", server)

        servers = [Upstream(host="127.0.0.1", port=port) for port in (free_port(), upstream.port)]
        for _ in range(3):
            answer = await client.request(servers, head, b"", call=Call())
            await answer.collect(100)
            answer.close()
        assert tried == [servers[0].port, upstream.port, upstream.port, upstream.port]

    with_client(use)


@pytest.mark.parametrize("mode", ["stall", "stream_then_stall"])
def test_an_abandoned_call_ends_at_once_and_its_connection_is_closed(upstream: UpstreamServer, mode: str) -> None:
    mark = f"abandon-{mode}"

    async def use(client: UpstreamClient) -> None:
        call = Call()
        asyncio.get_running_loop().call_later(0.1, call.abandon)
        with pytest.raises(AbandonedError):
            await ask_and_read(client, [upstream.port], call, mode=mode, mark=mark)

    with_client(use)
    [request] = upstream.marked(mark)
    assert upstream.wait_for(lambda: request.closed_at is not None)


def test_a_call_abandoned_before_it_began_sends_nothing(upstream: UpstreamServer) -> None:
    async def use(client: UpstreamClient) -> None:
        call = Call()
        call.abandon()
        with pytest.raises(AbandonedError):
            await ask(client, [upstream.port], call, mark="abandoned-early")
        answer = await ask(client, [upstream.port])
        answer.close()

    with_client(use)
    assert not upstream.marked("abandoned-early")


def test_an_answer_closed_before_its_end_is_not_followed_by_another_on_its_connection(
    upstream: UpstreamServer,
) -> None:
    async def use(client: UpstreamClient) -> None:
        answer = await ask(client, [upstream.port], mode="stream", chunks=2000, mark="unread")
        answer.close()
        for _ in range(2):
            answer = await ask(client, [upstream.port], mark="unread")
            assert b"Hello there." in await answer.collect(1000)
            answer.close()

    with_client(use)
    connections = [request.connection for request in upstream.marked("unread")]
    assert connections[0] != connections[1] == connections[2]


def test_an_overlong_answer_is_given_up(upstream: UpstreamServer) -> None:
    async def use(client: UpstreamClient) -> None:
        answer = await ask(client, [upstream.port], mode="flood", blocks=10)
        with pytest.raises(BrokenError, match="too long"):
            await answer.collect(1000)
        answer.close()

    with_client(use)


def test_servers_that_left_the_manifest_are_forgotten(upstream: UpstreamServer) -> None:
    async def use(client: UpstreamClient) -> None:
        for _ in range(2):
            answer = await ask(client, [upstream.port], mark="forgotten")
            await answer.collect(1000)
            answer.close()
            client.retain([])

    with_client(use)
    assert len({request.connection for request in upstream.marked("forgotten")}) == 2
