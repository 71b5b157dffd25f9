"""A request on its way to a model's server, and the answer on its way back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from modelgrid.gateway.asgi import BodyStalledError, BodyTooLargeError, ClientGoneError, read_body, wait_for_disconnect
from modelgrid.gateway.body import peek
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
from modelgrid.gateway.upstream import AbandonedError, Call, SilentError, UnreachableError, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelgrid.gateway.asgi import Header, Receive
    from modelgrid.gateway.body import Peek
    from modelgrid.gateway.request import Request
    from modelgrid.gateway.routing import View
    from modelgrid.gateway.upstream import Answer, UpstreamClient
    from modelgrid.manifest import Route

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

    def __init__(self, client: UpstreamClient, *, body_patience: float = BODY_PATIENCE) -> None:
        self._client = client
        self._body_patience = body_patience

    async def forward(self, request: Request, view: View, *, max_body: int) -> None:
        """Answer *request* from the model that it names, out of those in *view*.

        Raises:
            ApiError: nothing was sent yet, and the answer is an error.
            ClientGoneError: nobody waits for an answer.
        """
        check_json_body(request, max_body)
        asked = peek(await self._read(request, max_body))
        request.stream = asked.stream
        route = view.find(asked.model)
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
        call = Call()
        watcher = asyncio.get_running_loop().create_task(_abandon_when_left(request.receive, call))
        try:
            try:
                answer = await self._ask(request, route, asked, call)
            except UnreachableError as error:
                answer, route = await self._ask_others(request, view.fallbacks(route, request.path), asked, call, error)
            try:
                await _answer(request, route, answer)
            finally:
                answer.close()
        except AbandonedError:
            raise ClientGoneError from None
        except UpstreamError as error:
            if not request.reply.status:
                # one that stood in may have failed before there was an answer
                failed = view.find(request.fallback) if request.fallback else None
                raise _failure(error, failed or route, request) from error
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

    async def _ask_others(
        self, request: Request, others: Iterable[Route], asked: Peek, call: Call, error: UnreachableError
    ) -> tuple[Answer, Route]:
        """Ask the models that stand in, of which the first that can be reached answers.

        Raises:
            UpstreamError: the *error* of the model that was asked for when none can; else that of the one that can.
        """
        for other in others:
            request.fallback = other.model
            try:
                return await self._ask(request, other, asked, call), other
            except UnreachableError:
                request.fallback = None
        raise error

    async def _ask(self, request: Request, route: Route, asked: Peek, call: Call) -> Answer:
        fields, body = forwarded_fields(request), asked.with_model(route.upstream_model)
        answer = await self._client.request(
            route.upstreams,
            lambda server: request_head("POST", request.path, server, length=len(body), fields=fields),
            body,
            call=call,
        )
        request.upstream = f"{answer.upstream.host}:{answer.upstream.port}"
        return answer


async def _abandon_when_left(receive: Receive, call: Call) -> None:
    await wait_for_disconnect(receive)
    call.abandon()


async def _answer(request: Request, route: Route, answer: Answer) -> None:
    """Pass the answer on in the way that its kind needs."""
    if not 200 <= answer.status < 300:  # noqa: PLR2004  success
        raise await _refusal(request, route, answer)
    headers: list[Header] = [(name, answer.headers[name]) for name in _PASSED if name in answer.headers]
    if request.fallback is not None:
        headers.append((b"x-modelgrid-fallback", request.fallback.encode()))
    if answer.headers.get(b"content-type", b"").lower().startswith(b"text/event-stream"):
        await _relay_events(request, route, answer, headers)
    elif answer.length is None:
        # chunked: once begun, an answer that breaks off would look whole to the client, so it is begun whole
        await request.reply.whole(answer.status, headers, await answer.collect(_ANSWER_LIMIT))
    else:
        await _relay_known_length(request, answer, headers, answer.length)


async def _relay_events(request: Request, route: Route, answer: Answer, headers: list[Header]) -> None:
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
        await reply.body(error_event(_failure(error, route, request)), more=False)
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


async def _refusal(request: Request, route: Route, answer: Answer) -> ApiError:
    """What the client is told when the engine does not answer with success."""
    status = answer.status
    wait = answer.headers.get(b"retry-after", b"")
    if 400 <= status < 500 and status not in {401, 403, 407}:  # noqa: PLR2004  the client's fault
        body = await answer.collect(_REFUSAL_LIMIT)
        return engine_error(status, body, ((b"retry-after", wait),) if wait.isdigit() else ())
    if status == 503:  # noqa: PLR2004  Service Unavailable
        seconds = int(wait) if wait.isdigit() and len(wait) < 6 else _RETRY_AFTER  # noqa: PLR2004  a day
        return unavailable(
            f"The model `{route.model}` is not ready or is overloaded (request {request.id}).",
            code="model_unavailable",
            failed="model",
            seconds=seconds,
        )
    return ApiError(
        504 if status == 504 else 502,  # noqa: PLR2004  Gateway Timeout stays
        f"The server of the model `{route.model}` failed with status {status} (request {request.id}).",
        type=SERVER_ERROR,
        code="model_error",
        failed="model",
    )


def _failure(error: UpstreamError, route: Route, request: Request) -> ApiError:
    """What the client is told when the server gave no whole answer. Engine's words are not among it."""
    subject = f"The server of the model `{route.model}`"
    if isinstance(error, UnreachableError):
        return unavailable(
            f"{subject} cannot be reached: {error} (request {request.id}).",
            code="model_unavailable",
            failed="model",
            seconds=_RETRY_AFTER,
        )
    silent = isinstance(error, SilentError)
    return ApiError(
        504 if silent else 502,
        f"{subject} failed: {error} (request {request.id}).",
        type=SERVER_ERROR,
        code="model_timeout" if silent else "model_error",
        failed="model",
    )
