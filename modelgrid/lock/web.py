"""GET with bounds: of time, of size, of redirects, and of who gets to see a credential. The only user of httpx here."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import httpx

from modelgrid import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

_LOOPBACKS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 5


class UnreachableError(Exception):
    """No answer came: there is no network, no such host, no trust in its certificate, or it is too slow."""


class AnswerError(Exception):
    """An answer came that is none to the question. The message says why, and never has a credential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The *status*, the *headers* by lower-case name, and the whole *body* of a response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def is_loopback(host: str) -> bool:
    """Say whether *host*, with or without a port, is this machine, so that nothing of a request passes a network."""
    name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    return name.lower() in _LOOPBACKS


def origin_of(host: str) -> str:
    """Return the start of URLs at *host*: with TLS, but for this machine itself."""
    return f"{'http' if is_loopback(host) else 'https'}://{host}"


def check_url(url: str) -> None:
    """Refuse a URL that must not be asked.

    Raises:
        AnswerError: it is plain http to another machine, has credentials in it, or is no URL of the web.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise AnswerError("it leads to something that is no URL") from None
    if parts.username is not None or parts.password is not None:
        raise AnswerError("it leads to a URL with credentials in it")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACKS)):
        raise AnswerError(f"it leads to {parts.scheme}://{host}, and only https is asked")


class Web:
    """A client for one command. *timeout* is for each step of a request, *patience* for the whole of it, in seconds.

    Proxies are those of the environment (HTTPS_PROXY, NO_PROXY), as podman has them; this machine itself is always
    asked directly.
    """

    def __init__(self, *, timeout: float = 20.0, patience: float = 300.0) -> None:
        self._patience = patience
        # identity: a digest is that of the bytes as they are sent, and a bound on them bounds the memory
        headers = {"user-agent": f"modelgrid/{__version__}", "accept-encoding": "identity"}
        direct = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}
        self._client = httpx.Client(timeout=timeout, follow_redirects=False, headers=headers, mounts=direct)

    def __enter__(self) -> Web:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, url: str, *, limit: int, headers: Mapping[str, str] | None = None, follow: bool = False) -> Answer:
        """Ask for *url* and return the answer, whatever its status.

        Args:
            url: https, or http to this machine.
            limit: the most bytes that the body may have.
            headers: of the request. ``authorization`` goes to the host of *url* alone, never on with a redirect.
            follow: whether redirects are followed.

        Raises:
            UnreachableError: there is no answer.
            AnswerError: the answer is too large, comes too slowly, or leads to where it may not lead.
        """
        check_url(url)
        sent = dict(headers or {})
        deadline = time.monotonic() + self._patience
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._once(url, limit=limit, headers=sent, deadline=deadline)
            if not follow or answer.status not in _REDIRECTS:
                return answer
            target = urljoin(url, answer.headers.get("location", ""))
            check_url(target)
            if urlsplit(target)[:2] != urlsplit(url)[:2]:
                sent.pop("authorization", None)
            url = target
        raise AnswerError("it sends in circles")

    def _once(self, url: str, *, limit: int, headers: Mapping[str, str], deadline: float) -> Answer:
        try:
            with self._client.stream("GET", url, headers=dict(headers)) as response:
                body = bytearray()
                for piece in _pieces(response):
                    body += piece
                    if len(body) > limit:
                        raise AnswerError(f"its answer has more than {limit} bytes")
                    if time.monotonic() > deadline:
                        raise UnreachableError("its answer comes too slowly")
                return Answer(status=response.status_code, headers=dict(response.headers), body=bytes(body))
        except httpx.TimeoutException:
            raise UnreachableError("it does not answer in time") from None
        except httpx.HTTPError as error:
            raise UnreachableError(_reason(error)) from None
        except httpx.InvalidURL:
            raise AnswerError("its URL is malformed") from None


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    if response.status_code not in _REDIRECTS:
        yield from response.iter_bytes(65536)


def _reason(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    # httpx puts no header and no body into its messages
    return str(error) or type(error).__name__
