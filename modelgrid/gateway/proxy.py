"""A request on its way to a model's server, and the answer on its way back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from modelgrid.gateway.asgi import BodyStalledError, BodyTooLargeError, ClientGoneError, read_body, wait_for_disconnect
from modelgrid.gateway.body import peek
from modelgrid.gateway.holding import HeldError
from modelgrid.gateway.http1 import request_head
from modelgrid.gateway.openai import (
    SERVER_ERROR,
    ApiError,
    engine_error,
    error_event,
    model_not_found,
    unavailable,
)
from modelgrid.gateway.request import body_too_large, check_json_body, forwarded_fields
from modelgrid.gateway.sse import EventCutter
from modelgrid.gateway.upstream import (
    AbandonedError,
    BusyError,
    Call,
    SilentError,
    UnavailableError,
    UpstreamError,
)

if TYPE_CHECKING:
    from modelgrid.gateway.asgi import Header, Receive
    from modelgrid.gateway.body import Peek
    from modelgrid.gateway.holding import Holding
    from modelgrid.gateway.openai import Failed
    from modelgrid.gateway.reload import State
    from modelgrid.gateway.request import Request
    from modelgrid.gateway.upstream import Answer, UpstreamClient
    from modelgrid.manifest import Manifest, Route

#: Seconds without a byte of the request's body.
BODY_PATIENCE = 30.0
#: Bytes of an answer that must be whole before it is passed on.
_ANSWER_LIMIT = 64 * 1024 * 1024
_REFUSAL_LIMIT = 256 * 1024
_RETRY_AFTER = 5

#: All that a client gets of an engine's header fields. The length is added where it is known.
_PASSED = (b"content-type", b"content-encoding", b"content-language", b"cache-control")


class Proxy:
    """Forwards requests whose body is JSON with a ``model`` in it."""

    def __init__(
        self, state: State, client: UpstreamClient, holding: Holding, *, body_patience: float = BODY_PATIENCE
    ) -> None:
        self._state = state
        self._client = client
        self._holding = holding
        self._body_patience = body_patience

    async def forward(self, request: Request, patterns: tuple[str, ...]) -> None:
        """Answer *request* from the model that it names, out of those that a key with *patterns* may use.

        Raises:
            ApiError: nothing was sent yet, and the answer is an error.
            ClientGoneError: nobody waits for an answer.
        """
        max_body = self._state.table_in_use().manifest.max_body
        check_json_body(request, max_body)
        asked = peek(await self._read(request, max_body))
        request.stream = asked.stream
        call = Call()
        watcher = asyncio.get_running_loop().create_task(_abandon_when_left(request.receive, call))
        try:
            answer = await self._reach(request, patterns, asked, call)
            try:
                await _answer(request, answer)
            finally:
                answer.close()
        except AbandonedError:
            raise ClientGoneError from None
        except UpstreamError as error:
            if not request.reply.status:
                raise _failure(error, request) from error
            # less was sent than announced: leaving the answer unfinished makes the server end the connection
            request.failed = "model"
        finally:
            watcher.cancel()

    async def _read(self, request: Request, limit: int) -> bytes:
        try:
            return await read_body(request.receive, limit=limit, patience=self._body_patience)
        except BodyTooLargeError:
            raise body_too_large(limit) from None
        except BodyStalledError:
            raise ApiError(408, "The body stopped coming.", code="request_timeout") from None

    def _find(self, request: Request, patterns: tuple[str, ...], asked: Peek) -> Route:
        """The route of the model that is asked for, by the routing table in use.

        Raises:
            ApiError: there is none, or it does not serve the path.
        """
        route = self._state.table_in_use().view(patterns).find(asked.model)
        if route is None:
            raise model_not_found(asked.model)
        request.model = route.model
        if request.path not in route.apis:
            raise ApiError(
                404,
                f"The model `{route.model}` does not serve {request.path}.",
                code="unsupported_endpoint",
                param="model",
            )
        return route

    async def _reach(self, request: Request, patterns: tuple[str, ...], asked: Peek, call: Call) -> Answer:
        """Find a server that answers.

        What found none is asked anew by the routing table that there is by then: a server that is stopped once
        no table names it, and no request is in flight there, costs no request.

        Raises:
            ApiError: there is no such model any more.
            UpstreamError: neither the model nor one that stands in for it answers.
        """
        while True:
            table = self._state.table_in_use()
            route = self._find(request, patterns, asked)
            try:
                if route.upstreams:
                    return await self._ask(request, route, asked, call)
                await self._hold(table.manifest, patterns, asked, call)
            except UnavailableError as error:
                failure = error
                if isinstance(error, HeldError) or self._state.table is table:
                    break
        # only those that the key may ask for and that serve the path, and not their own fallbacks
        for name in route.fallback:
            other = self._state.table_in_use().view(patterns).serving(name, request.path)
            if other is None:
                continue
            request.fall_back(other.model)
            with contextlib.suppress(UnavailableError):
                return await self._ask(request, other, asked, call)
        request.fall_back(None)
        raise failure

    async def _hold(self, limits: Manifest, patterns: tuple[str, ...], asked: Peek, call: Call) -> None:
        """Wait until the route is not on hold any more; it may be gone then."""

        def released() -> bool:
            table = self._state.table
            route = table.view(patterns).find(asked.model) if table is not None else None
            return route is None or bool(route.upstreams)

        await self._holding.wait(
            released, size=asked.size, seconds=limits.hold_time, most=limits.hold_requests, call=call
        )

    async def _ask(self, request: Request, route: Route, asked: Peek, call: Call) -> Answer:
        fields, body = forwarded_fields(request), asked.with_model(route.upstream_model)
        answer = await self._client.request(
            route.upstreams,
            lambda server: request_head("POST", request.path, server, length=len(body), fields=fields),
            body,
            call=call,
        )
        request.upstream = str(answer.upstream)
        return answer


async def _abandon_when_left(receive: Receive, call: Call) -> None:
    await wait_for_disconnect(receive)
    call.abandon()


async def _answer(request: Request, answer: Answer) -> None:
    """Pass the answer on in the way that its kind needs."""
    if not 200 <= answer.status < 300:  # noqa: PLR2004  success
        raise await _refusal(request, answer)
    headers: list[Header] = [(name, answer.headers[name]) for name in _PASSED if name in answer.headers]
    if answer.headers.get(b"content-type", b"").lower().startswith(b"text/event-stream"):
        await _relay_events(request, answer, headers)
    elif answer.length is None:
        # chunked: once begun, an answer that breaks off would look whole to the client, so it is begun whole
        await request.reply.whole(answer.status, headers, await answer.collect(_ANSWER_LIMIT))
    else:
        await _relay_known_length(request, answer, headers, answer.length)


async def _relay_events(request: Request, answer: Answer, headers: list[Header]) -> None:
    """Pass a stream of events on. When it breaks, its last event says so."""
    reply = request.reply
    await reply.start(answer.status, [*headers, (b"x-accel-buffering", b"no")])
    events = EventCutter()
    try:
        while data := await answer.read():
            whole = events.feed(data)
            if whole:
                await reply.body(whole, more=True)
    except AbandonedError:
        raise
    except UpstreamError as error:
        request.failed = "model"
        await reply.body(error_event(_failure(error, request)), more=False)
    else:
        await reply.body(events.rest(), more=False)


async def _relay_known_length(request: Request, answer: Answer, headers: list[Header], length: int) -> None:
    """Pass on an answer whose length the client is told. When it breaks, the server cuts the client off."""
    reply = request.reply
    data = await answer.read()
    if answer.at_end:
        await reply.whole(answer.status, headers, data)
        return
    await reply.start(answer.status, [*headers, (b"content-length", b"%d" % length)])
    while data:
        await reply.body(data, more=not answer.at_end)
        data = await answer.read()


async def _refusal(request: Request, answer: Answer) -> ApiError:
    """What the client is told when the engine does not answer with success."""
    status = answer.status
    if 400 <= status < 500 and status not in {401, 403, 407}:  # noqa: PLR2004  the client's fault
        body = await answer.collect(_REFUSAL_LIMIT)
        wait = answer.headers.get(b"retry-after", b"")
        return engine_error(status, body, ((b"retry-after", wait),) if wait.isdigit() else ())
    return ApiError(
        504 if status == 504 else 502,  # noqa: PLR2004  Gateway Timeout stays
        f"The server of the model `{_asked(request)}` failed with status {status} (request {request.id}).",
        type=SERVER_ERROR,
        code="model_error",
        failed="model",
    )


def _failure(error: UpstreamError, request: Request) -> ApiError:
    """What the client is told when no server gave a whole answer. Engine's words are not among it."""
    name, ending = _asked(request), f"(request {request.id})."
    if isinstance(error, UnavailableError):
        seconds = _RETRY_AFTER
        message = f"The server of the model `{name}` cannot be reached: {error}"
        if isinstance(error, HeldError):
            message = f"The model `{name}` is being changed"
        elif isinstance(error, BusyError):
            message = f"The model `{name}` is not ready or is overloaded"
            wait = error.retry_after
            seconds = int(wait) if wait.isdigit() and len(wait) < 6 else seconds  # noqa: PLR2004  a day
        failed: Failed = "gateway" if isinstance(error, HeldError) else "model"
        return unavailable(f"{message} {ending}", code="model_unavailable", failed=failed, seconds=seconds)
    silent = isinstance(error, SilentError)
    return ApiError(
        504 if silent else 502,
        f"The server of the model `{name}` failed: {error} {ending}",
        type=SERVER_ERROR,
        code="model_timeout" if silent else "model_error",
        failed="model",
    )


def _asked(request: Request) -> str | None:
    """The model whose server was asked last."""
    return request.fallback or request.model
