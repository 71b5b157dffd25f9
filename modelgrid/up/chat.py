"""One streamed chat request, as any client of the gateway would send it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The API path of it.
PATH = "/v1/chat/completions"

#: A small model may go on until its context is full; this many tokens show that it works.
_MAX_TOKENS = 200
_CONNECT_TIMEOUT = 5.0
#: Seconds to the next piece. A large model on a CPU may read the prompt for minutes.
_READ_TIMEOUT = 600.0


def stream_answer(base_url: str, *, model: str, prompt: str, key: str) -> Iterator[str]:
    """Ask *model* through the gateway at *base_url* (no path) and yield the answer's pieces as they come.

    Raises:
        HostError: the gateway cannot be reached, refuses, or breaks off; or the answer is empty.
    """
    import httpx  # noqa: PLC0415  most runs of `up` ask nothing

    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": _MAX_TOKENS,
        "stream": True,
    }
    timeout = httpx.Timeout(_READ_TIMEOUT, connect=_CONNECT_TIMEOUT)
    empty = True
    try:
        with (
            # the gateway is on this host: a proxy of the environment is not meant for it
            httpx.Client(base_url=base_url, timeout=timeout, trust_env=False) as client,
            client.stream("POST", PATH, json=body, headers={"Authorization": f"Bearer {key}"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                text = response.read().decode(errors="replace")
                raise HostError(f"the gateway answered {response.status_code}: {_message(text)}")
            for line in response.iter_lines():
                if piece := _piece(line):
                    empty = False
                    yield piece
    except httpx.HTTPError as error:
        raise HostError(f"the answer broke off: {str(error) or type(error).__name__}") from error
    if empty:
        raise HostError(f"{model} answered without a word")


def _piece(line: str) -> str:
    """Return the text in one line of server-sent events (WHATWG HTML, 9.2); "" where it has none."""
    data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
    if not data or data == "[DONE]":
        return ""
    event = _json(data)
    if isinstance(event, dict) and "error" in event:
        raise HostError(f"the answer broke off: {_message(data)}")
    try:
        return str(event["choices"][0]["delta"].get("content") or "")
    except (LookupError, TypeError, AttributeError):
        return ""


def _message(text: str) -> str:
    """Return what OpenAI's form of an error says, or *text* where it has another form."""
    try:
        return str(_json(text)["error"]["message"])
    except (LookupError, TypeError):
        return text.strip()[:300]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
