"""Whether the models' servers are ready, asked of their health paths when somebody wants to know."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from modelgrid.gateway.http1 import request_head
from modelgrid.gateway.upstream import Call, Timeouts, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelgrid.gateway.upstream import UpstreamClient
    from modelgrid.manifest import Route, Upstream

_TIMEOUT = 1.0
#: A result is good for this many seconds, whoever asks: /ready needs no key and must not become a lever.
_FRESH = 1.0
_ANSWER_LIMIT = 64 * 1024

ModelState = Literal["ready", "unavailable"]


class Probes:
    """Asks servers for their health, each at most once at a time."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client
        self._latest: dict[tuple[Upstream, str], tuple[float, asyncio.Task[bool]]] = {}

    async def states(self, routes: Iterable[Route]) -> dict[str, ModelState]:
        """By model: ready when one of its servers answers 200 within a second."""
        asked = {
            route.model: [self._ask(upstream, route.health_path) for upstream in route.upstreams] for route in routes
        }
        tasks = {task for probes in asked.values() for task in probes}
        if tasks:
            await asyncio.wait(tasks)
        return {
            model: "ready" if any(probe.result() for probe in probes) else "unavailable"
            for model, probes in asked.items()
        }

    def _ask(self, upstream: Upstream, path: str) -> asyncio.Task[bool]:
        now = asyncio.get_running_loop().time()
        latest = self._latest.get((upstream, path))
        if latest is not None and (not latest[1].done() or now - latest[0] < _FRESH):
            return latest[1]
        self._latest = {key: value for key, value in self._latest.items() if now - value[0] < 60 * _FRESH}
        task = asyncio.get_running_loop().create_task(self._probe(upstream, path))
        self._latest[upstream, path] = (now, task)
        return task

    async def _probe(self, upstream: Upstream, path: str) -> bool:
        limits = Timeouts(connect=_TIMEOUT, first_byte=_TIMEOUT, idle=_TIMEOUT)
        try:
            async with asyncio.timeout(_TIMEOUT):
                answer = await self._client.request(
                    [upstream],
                    lambda server: request_head("GET", path, server),
                    b"",
                    call=Call(),
                    timeouts=limits,
                )
                try:
                    await answer.collect(_ANSWER_LIMIT)
                    return answer.status == 200  # noqa: PLR2004  OK
                finally:
                    answer.close()
        except (UpstreamError, TimeoutError):
            return False
