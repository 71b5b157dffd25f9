"""One request, and what is asked of its head before anything else looks at it."""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING

from modelgrid.gateway.asgi import Reply
from modelgrid.gateway.openai import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.gateway.asgi import Header, Receive, Scope, Send
    from modelgrid.gateway.openai import Failed

#: host[:port] as in RFC 9110, 7.2: a name or IPv4 address, or an IPv6 address in brackets; nothing else.
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_JSON = re.compile(rb"application/json[ \t]*(?:;.*)?", re.IGNORECASE)
#: https://www.w3.org/TR/trace-context/, 3.2
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Request:
    """A request, its answer, and what the access log will say of both.

    Attributes:
        id: of our making; a client's own is never used.
        path: percent-decoded, without the query. It is compared, never built upon.
        endpoint: the path's name for the log, set once the path is known to be one of ours.
        key: name of the caller's key.
        model: as the manifest has it.
        upstream: who served it.
        fallback: the model that answered in place of the one asked for; see :meth:`fall_back`.
        stream: whether a stream was asked for.
        failed: who failed, for an error.
        client_left: whether the client left before its answer was whole.
    """

    __slots__ = (
        "client_left",
        "endpoint",
        "failed",
        "fallback",
        "headers",
        "id",
        "key",
        "method",
        "model",
        "path",
        "receive",
        "reply",
        "started_at",
        "stream",
        "upstream",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, leaving: Callable[[], bool] = lambda: False
    ) -> None:
        self.id = uuid.uuid4().hex
        self.started_at = time.perf_counter()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: list[Header] = list(scope["headers"])
        self.receive = receive
        self.reply = Reply(send, self.id, leaving)
        self.endpoint: str | None = None
        self.key: str | None = None
        self.model: str | None = None
        self.upstream: str | None = None
        self.fallback: str | None = None
        self.stream: bool | None = None
        self.failed: Failed | None = None
        self.client_left = False

    def values(self, name: bytes) -> list[bytes]:
        """Every value of a header field, by its lower-case name."""
        return [value for field, value in self.headers if field == name]

    def fall_back(self, model: str | None) -> None:
        """Note that *model* is asked in place of the one asked for, which every answer then says; None: none is."""
        self.fallback = model
        self.reply.extra = () if model is None else ((b"x-modelgrid-fallback", model.encode()),)

    def log_line(self) -> dict[str, object]:
        """The line of the access log."""
        reply = self.reply
        now = time.perf_counter()
        return {
            "id": self.id,
            "key": self.key,
            "method": self.method if self.endpoint else None,
            "path": self.endpoint,
            "model": self.model,
            "upstream": self.upstream,
            "fallback": self.fallback,
            "stream": self.stream,
            "status": reply.status or None,
            "failed": self.failed,
            "client_left": self.client_left,
            "whole": reply.finished,
            "bytes": reply.length,
            "first_byte_ms": round((reply.started_at - self.started_at) * 1000, 2) if reply.status else None,
            "ms": round((now - self.started_at) * 1000, 2),
        }


def check_host(request: Request) -> None:
    """Refuse a request whose Host is missing, repeated, or more than ``host[:port]`` (RFC 9112, 3.2).

    Raises:
        ApiError: 400.
    """
    hosts = request.values(b"host")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise ApiError(400, "The Host header must be exactly one host[:port].", code="invalid_host")


def check_json_body(request: Request, limit: int) -> None:
    """Refuse a body that is known from the head not to be wanted.

    A browser sends JSON across origins only when it was allowed to, so asking for the type keeps web pages away
    from a gateway without keys.

    Raises:
        ApiError: 413, 415.
    """
    types = request.values(b"content-type")
    if len(types) != 1 or not _JSON.fullmatch(types[0]):
        raise ApiError(
            415,
            "Send the body as JSON, with the header `Content-Type: application/json`.",
            code="unsupported_content_type",
        )
    if request.values(b"content-encoding"):
        raise ApiError(415, "Send the body without a content coding.", code="unsupported_content_encoding")
    for length in request.values(b"content-length"):
        if not length.isdigit() or int(length) > limit:
            raise body_too_large(limit)


def body_too_large(limit: int) -> ApiError:
    """Status 413."""
    return ApiError(413, f"The body is larger than {limit} bytes.", code="request_too_large")


def forwarded_fields(request: Request) -> tuple[Header, ...]:
    """All that a model's server gets of the head: our request id, and the trace it belongs to."""
    fields: list[Header] = [(b"content-type", b"application/json"), (b"x-request-id", request.id.encode())]
    traces = request.values(b"traceparent")
    if len(traces) == 1 and _TRACEPARENT.fullmatch(traces[0]):
        fields.append((b"traceparent", traces[0]))
    return tuple(fields)
