"""OpenAI's forms: the error body, the model object, the error event of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from modelgrid.gateway.asgi import Header
    from modelgrid.manifest import Route

#: Who says no: "gateway" for an answer of our own, "model" where the model's server failed or refused.
Failed = Literal["gateway", "model"]

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"

_MESSAGE_LIMIT = 2000


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        status: HTTP status, 400 and above.
        message: one sentence for a person.
        type: OpenAI's class of error.
        code: OpenAI's short name of it, for programs.
        param: the request's field at fault.
        failed: whether the gateway or the model says no.
        headers: more header fields of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID_REQUEST,  # noqa: A002  the field's name in OpenAI's form
        code: str | None = None,
        param: str | None = None,
        failed: Failed = "gateway",
        headers: tuple[Header, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.failed = failed
        self.headers = headers

    def body(self) -> dict[str, object]:
        """The error as the client reads it."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def all_headers(self) -> list[Header]:
        """The header fields of the answer, with the one that says who failed."""
        return [*self.headers, (b"x-modelgrid-error", self.failed.encode())]


def retry_after(seconds: int) -> Header:
    """The header field that tells a client when to try again (RFC 9110, 10.2.3)."""
    return b"retry-after", b"%d" % seconds


def unavailable(message: str, *, code: str, failed: Failed, seconds: int) -> ApiError:
    """Not now, but soon: status 503, with the time to wait."""
    return ApiError(503, message, type=SERVER_ERROR, code=code, failed=failed, headers=(retry_after(seconds),))


def model_not_found(name: str) -> ApiError:
    """The answer for a name that is unknown or that the key may not use: the two must not differ."""
    return ApiError(
        404,
        f"The model `{name[:256]}` does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    )


def model_object(route: Route, created: int) -> dict[str, object]:
    """A model as ``/v1/models`` shows it."""
    return {"id": route.model, "object": "model", "created": created, "owned_by": route.engine}


def error_event(error: ApiError) -> bytes:
    """The last event of a stream that broke: clients raise it, and no ``[DONE]`` follows."""
    return b"data: " + msgspec.json.encode(error.body()) + b"\n\n"


def engine_error(status: int, body: bytes, headers: tuple[Header, ...] = ()) -> ApiError:
    """An engine's refusal (status 4xx) in OpenAI's form, whatever form the engine gave it.

    Seen: ``{"error": {...}}`` (OpenAI, vLLM, llama.cpp), ``{"error": "text"}`` (Ollama, TEI),
    ``{"object": "error", "message": ...}`` (older vLLM), ``{"detail": ...}`` (FastAPI), plain text.
    """
    try:
        data: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        data = body.decode("utf-8", "replace")
    found = data
    if isinstance(data, Mapping):
        found = data.get("error", data.get("detail", data))
    fields: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    message = fields.get("message", found)
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    code = fields.get("code")
    return ApiError(
        status,
        message.strip()[:_MESSAGE_LIMIT] or f"The model's server refused the request with status {status}.",
        type=_text(fields.get("type")) or INVALID_REQUEST,
        code=str(code) if isinstance(code, (str, int)) and not isinstance(code, bool) else None,
        param=_text(fields.get("param")),
        failed="model",
        headers=headers,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
