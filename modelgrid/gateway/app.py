"""The ASGI application: which path means what, and what happens to every request before and after.

Order, for every request: Host, then health, then the key, then the path within what the key may use.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from modelgrid.gateway.asgi import ClientGoneError
from modelgrid.gateway.openai import SERVER_ERROR, ApiError, model_not_found, model_object, unavailable
from modelgrid.gateway.probes import Probes
from modelgrid.gateway.proxy import BODY_PATIENCE, Proxy
from modelgrid.gateway.request import Request, check_host
from modelgrid.gateway.routing import ALL_MODELS

if TYPE_CHECKING:
    from modelgrid.gateway.asgi import ASGIApp, Header, Receive, Scope, Send
    from modelgrid.gateway.holding import Holding
    from modelgrid.gateway.linelog import LineLog
    from modelgrid.gateway.reload import State
    from modelgrid.gateway.routing import RoutingTable, View
    from modelgrid.gateway.upstream import UpstreamClient

_MODELS = "/v1/models"
_MODEL = "/v1/models/"

#: Paths that exist whether or not a model serves them; more come from the routes.
_STANDARD = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})


def create_app(
    *, state: State, client: UpstreamClient, holding: Holding, log: LineLog, body_patience: float = BODY_PATIENCE
) -> ASGIApp:
    """Put the application together. It never raises; *log* gets one line per request.

    It handles the ``http`` scope alone: the lifespan belongs to whoever owns *state*, *client* and *holding*.
    """
    leaving = state.leaving
    endpoints = _Endpoints(state, Probes(client), Proxy(state, client, holding, body_patience=body_patience))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"there is nothing here for the scope {scope['type']!r}")
        request = Request(scope, receive, send, leaving=leaving)
        try:
            await endpoints.answer(request)
        except ApiError as error:
            await _send_error(request, error)
        except ClientGoneError:
            request.client_left = True
        except Exception:  # noqa: BLE001  the last line of defence: whatever it is, it must not end as no answer
            log.event("crash", id=request.id, error=traceback.format_exc())
            await _send_error(request, _crashed(request))
        finally:
            log.write(request.log_line())

    return app


def _crashed(request: Request) -> ApiError:
    message = f"The gateway failed (request {request.id})."
    return ApiError(500, message, type=SERVER_ERROR, code="gateway_error")


async def _send_error(request: Request, error: ApiError) -> None:
    request.failed = error.failed
    if not request.reply.status:  # else it is too late to say anything
        await request.reply.json(error.status, error.body(), error.all_headers())


class _Endpoints:
    """The paths of the gateway."""

    def __init__(self, state: State, probes: Probes, proxy: Proxy) -> None:
        self._state = state
        self._probes = probes
        self._proxy = proxy

    async def answer(self, request: Request) -> None:
        """Answer *request*, or raise ApiError."""
        check_host(request)
        if request.path == "/health":
            _expect(request, "GET", request.path)
            await request.reply.json(200, {"status": "ok"})
            return
        if request.path == "/ready":
            _expect(request, "GET", request.path)
            await self._ready(request)
            return
        patterns = self._authenticate(request)
        table = self._state.table_in_use()
        view = table.view(patterns)
        if request.path == _MODELS:
            _expect(request, "GET", _MODELS)
            objects = [model_object(route, table.created) for route in view.routes]
            await request.reply.json(200, {"object": "list", "data": objects})
        elif request.path.startswith(_MODEL):
            _expect(request, "GET", f"{_MODEL}{{model}}")
            await _show_model(request, table, view)
        elif request.path in _STANDARD or request.path in view.apis:
            _expect(request, "POST", request.path)
            await self._proxy.forward(request, patterns)
        else:
            raise ApiError(404, "There is no such path here.", code="unknown_path")

    def _authenticate(self, request: Request) -> tuple[str, ...]:
        """Patterns of the models that the caller may use."""
        keyring = self._state.keyring
        if keyring is None:
            raise unavailable(
                "The gateway cannot read its keys.", code="gateway_not_ready", failed="gateway", seconds=5
            )
        key = keyring.authenticate(request.values(b"authorization"))
        if key is None:
            return ALL_MODELS
        request.key = key.name
        return key.models

    async def _ready(self, request: Request) -> None:
        """Whether the gateway can serve, by which manifest, and, for who may know, which models are ready."""
        table = self._state.table
        if table is None or self._state.keyring is None:
            raise unavailable(
                "The gateway has no manifest or no keys yet.",
                code="gateway_not_ready",
                failed="gateway",
                seconds=1,
            )
        found: dict[str, object] = {"status": "ready", "manifest": table.sha256}
        try:
            view = table.view(self._authenticate(request))
        except ApiError:
            pass  # no key is needed here, but names are shown only to who may use them
        else:
            found["models"] = await self._probes.states(view.routes)
        await request.reply.json(200, found)


async def _show_model(request: Request, table: RoutingTable, view: View) -> None:
    name = request.path.removeprefix(_MODEL)
    route = view.find(name)
    if route is None:
        raise model_not_found(name)
    request.model = route.model
    await request.reply.json(200, model_object(route, table.created))


def _expect(request: Request, method: str, endpoint: str) -> None:
    """Note the path for the log, and refuse another method than *method* (RFC 9110, 15.5.6)."""
    request.endpoint = endpoint
    if request.method != method:
        allow: tuple[Header, ...] = ((b"allow", method.encode()),)
        raise ApiError(405, f"Use {method} here.", code="method_not_allowed", headers=allow)
