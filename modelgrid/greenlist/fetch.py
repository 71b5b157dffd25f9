"""Gets a greenlist over HTTP. What comes is not trusted: it is bounded in size and time, and its hash is checked."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from modelgrid.errors import HostError

if TYPE_CHECKING:
    import httpx

#: Bytes of a greenlist; ten thousand rules have about as many.
MAX_SIZE: Final = 1024**2
#: Seconds for all of a fetch.
_WHOLE: Final = 30.0
_MOST_REDIRECTS: Final = 3
_OK: Final = 200

_OFFLINE: Final = "a list that was fetched before is kept, and needs no network; or name a file as the source"


def url_fault(url: str) -> str | None:
    """Return why *url* is not fetched: it must be https, or http on loopback, without a password; none if it may."""
    try:
        parts = urlsplit(url)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        return "it is no URL"
    if parts.username is not None or parts.password is not None:
        return "it has a user or password, which everyone who reads the file would have"
    if not parts.hostname or not port_is_sound or any(char <= " " for char in url):
        return "it is no URL"
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
        return None
    return "it must be https"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def fetch(url: str, *, seconds: float = _WHOLE) -> bytes:
    """Return what *url* answers with within *seconds*, unpacked by nothing and at most :data:`MAX_SIZE`.

    Redirects are followed within the scheme, host and port of *url* only. *url* is one that :func:`url_fault` has
    nothing to say of.

    Raises:
        HostError: there is no answer, not in time, not with status 200, or it is too large.
    """
    import asyncio  # noqa: PLC0415  only where no cache has the list

    import httpx  # noqa: PLC0415  the same

    try:
        return asyncio.run(_within(url, seconds))
    except (TimeoutError, httpx.TimeoutException) as error:
        raise HostError(f"{url} does not answer in time", hint=_OFFLINE) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
        raise HostError(f"cannot fetch {url}: {str(error) or type(error).__name__}", hint=_OFFLINE) from error


async def _within(url: str, seconds: float) -> bytes:
    """Fetch *url*: asyncio bounds the whole, where httpx bounds only each wait for the next byte."""
    import asyncio  # noqa: PLC0415  only where no cache has the list

    import httpx  # noqa: PLC0415  the same

    # the environment's proxies and certificates are the host's to choose: what comes is pinned by its hash.
    # Loopback is asked directly.
    trust = not _is_loopback(urlsplit(url).hostname or "")
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    there = url
    async with (
        asyncio.timeout(seconds),
        httpx.AsyncClient(timeout=seconds, trust_env=trust, headers=headers) as client,
    ):
        for _ in range(_MOST_REDIRECTS + 1):
            async with client.stream("GET", there) as answer:
                if not answer.has_redirect_location:
                    return await _read(answer, url)
                there = _next(there, answer.headers["location"])
    raise HostError(f"{url} redirects again and again", hint="write the URL that it ends at")


async def _read(answer: httpx.Response, url: str) -> bytes:
    if answer.status_code != _OK:
        raise HostError(f"{url} answers with status {answer.status_code}", hint="correct the URL, or try again later")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise HostError(f"{url} answers with packed content, which was not asked for", hint=_OFFLINE)
    data = bytearray()
    async for chunk in answer.aiter_raw():
        data += chunk
        if len(data) > MAX_SIZE:
            raise HostError(f"{url} is larger than {MAX_SIZE // 1024**2} MiB", hint="a greenlist is a short list")
    return bytes(data)


def _next(url: str, location: str) -> str:
    """Return where a redirect from *url* to *location* leads: within one server.

    Raises:
        HostError: it leads elsewhere.
    """
    try:
        there = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(there)
        same = (before.scheme, before.hostname, before.port) == (after.scheme, after.hostname, after.port)
    except ValueError:
        same = False
    if not same or url_fault(there) is not None:
        raise HostError(f"{url} redirects to another server", hint="write the URL that it ends at")
    return there
