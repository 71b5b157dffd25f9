"""Asks registries which image a name means: the OCI distribution specification 1.1, and Docker's forms of manifests."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from modelgrid.lock.credentials import find_login
from modelgrid.lock.values import ARCHITECTURES, LockedFile, LockedImage, LockedManifest, LockedModel
from modelgrid.lock.web import AnswerError, check_url, origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from modelgrid.lock.credentials import Login
    from modelgrid.lock.references import Reference
    from modelgrid.lock.web import Answer, Web

INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)

#: The specification asks registries to take manifests up to this size, and clients to expect no more.
_MAX_MANIFEST: Final = 4 * 1024**2
_MAX_CONFIG: Final = 8 * 1024**2
_MAX_TOKEN: Final = 1024**2
_MOST_LAYERS: Final = 10_000

_UNAUTHORIZED: Final = 401
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
#: A parameter of a challenge (RFC 9110, 11.2): a token or a quoted string.
_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class RegistryError(Exception):
    """The registry has no such image, or what it says cannot be trusted. *hint* is the way out."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A document of a registry whose *digest* was compared with its bytes."""

    digest: str
    media_type: str
    data: dict[str, Any]
    size: int


class Registry:
    """A client for one command: asks each registry for a token once, and keeps it for that command."""

    def __init__(self, web: Web, *, logins: Iterable[Path]) -> None:
        self._web = web
        self._logins = tuple(logins)
        self._authorizations: dict[tuple[str, str], str] = {}

    def image(self, reference: Reference) -> LockedImage:
        """Return what *reference* means now: the digest of its index, and manifest and size for each architecture.

        Raises:
            RegistryError: there is no such image, it is closed to this user, or a digest is not that of its bytes.
            AnswerError: the registry breaks its protocol.
            UnreachableError: it does not answer.
        """
        top = self._manifest(reference, reference.wanted, (*INDEXES, *MANIFESTS))
        if top.media_type in MANIFESTS:
            architecture = self._architecture(reference, top)
            if architecture not in ARCHITECTURES:
                raise RegistryError(f"it is for {architecture or 'no architecture'} alone")
            found = LockedManifest(digest=top.digest, size=_layers_size(top))
            return LockedImage(digest=top.digest, architectures={architecture: found})
        architectures = {}
        for architecture in ARCHITECTURES:
            entry = _entry(top, architecture)
            if entry is not None:
                manifest = self._manifest(reference, entry["digest"], MANIFESTS)
                if manifest.size != entry.get("size"):
                    raise RegistryError(f"its index says another size of the manifest for {architecture}")
                architectures[architecture] = LockedManifest(digest=manifest.digest, size=_layers_size(manifest))
        if not architectures:
            raise RegistryError(f"it has no image for Linux on {' or '.join(ARCHITECTURES)}")
        return LockedImage(digest=top.digest, architectures=architectures)

    def weights(self, reference: Reference) -> LockedModel:
        """Return what *reference* of Ollama's library means now; its files are named as Ollama stores them.

        Raises:
            RegistryError, AnswerError, UnreachableError: as for :meth:`image`.
        """
        manifest = self._manifest(reference, reference.wanted, MANIFESTS)
        files = {}
        for layer in [*_layers(manifest), _descriptor(manifest.data.get("config"))]:
            sha256 = layer["digest"].removeprefix("sha256:")
            files[f"blobs/sha256-{sha256}"] = LockedFile(size=layer["size"], sha256=sha256)
        return LockedModel(revision=manifest.digest, files=files)

    def _architecture(self, reference: Reference, manifest: Fetched) -> str:
        """A manifest alone does not say its architecture: the image's configuration does."""
        descriptor = _descriptor(manifest.data.get("config"))
        url = f"{origin_of(reference.host)}/v2/{reference.repository}/blobs/{descriptor['digest']}"
        # "blobs" is the one endpoint that the specification lets a registry redirect
        answer = self._get(reference, url, limit=_MAX_CONFIG, headers={}, follow=True)
        _check_status(reference, answer, "the configuration of the image")
        _check_digest(answer.body, descriptor["digest"])
        data = _parse(answer.body)
        if data.get("os", "linux") != "linux":
            raise RegistryError(f"it is for {data.get('os')}, not for Linux")
        return str(data.get("architecture", ""))

    def _manifest(self, reference: Reference, wanted: str, accept: tuple[str, ...]) -> Fetched:
        url = f"{origin_of(reference.host)}/v2/{reference.repository}/manifests/{wanted}"
        answer = self._get(reference, url, limit=_MAX_MANIFEST, headers={"accept": ", ".join(accept)}, follow=False)
        _check_status(reference, answer, wanted)
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        if wanted.startswith("sha256:"):
            _check_digest(answer.body, wanted)
        if stated := answer.headers.get("docker-content-digest"):
            _check_digest(answer.body, stated)
        data = _parse(answer.body)
        kind = data.get("mediaType") or answer.headers.get("content-type", "").partition(";")[0].strip()
        if kind not in accept:
            raise RegistryError(f"it is of the kind {str(kind)[:100]!r}, which podman does not pull as an image")
        return Fetched(digest=digest, media_type=kind, data=data, size=len(answer.body))

    def _get(self, reference: Reference, url: str, *, limit: int, headers: Mapping[str, str], follow: bool) -> Answer:
        """Ask for *url*; where the registry wants to know who asks, find out how to say it, once, and ask again."""
        key = (reference.host, reference.repository)
        known = self._authorizations.get(key)
        sent = {**headers, "authorization": known} if known else dict(headers)
        answer = self._web.get(url, limit=limit, headers=sent, follow=follow)
        if answer.status != _UNAUTHORIZED:
            return answer
        authorization = self._authorize(reference, answer.headers.get("www-authenticate", ""))
        if authorization is None or authorization == known:
            return answer
        self._authorizations[key] = authorization
        return self._web.get(url, limit=limit, headers={**headers, "authorization": authorization}, follow=follow)

    def _authorize(self, reference: Reference, challenge: str) -> str | None:
        """Return the header that answers *challenge*; none where this user has nothing to answer with."""
        login = find_login(reference, self._logins)
        scheme, _, rest = challenge.strip().partition(" ")
        match scheme.lower():
            case "basic":
                return f"Basic {login.basic}" if login else None
            case "bearer":
                return f"Bearer {self._token(reference, _parameters(rest), login)}"
            case _:
                return None

    def _token(self, reference: Reference, parameters: Mapping[str, str], login: Login | None) -> str:
        """Ask the realm for a token: the token authentication of distribution, docs/spec/auth/token.md."""
        realm = parameters.get("realm", "")
        check_url(realm)
        query = {"scope": f"repository:{reference.repository}:pull"}
        if service := parameters.get("service"):
            query["service"] = service
        headers = {"authorization": f"Basic {login.basic}"} if login else {}
        join = "&" if "?" in realm else "?"
        answer = self._web.get(f"{realm}{join}{urlencode(query)}", limit=_MAX_TOKEN, headers=headers)
        _check_status(reference, answer, "a token")
        data = _parse(answer.body)
        token = data.get("token") or data.get("access_token")
        # a token goes into a header: a line break in it would be one of ours
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise RegistryError("its token service gives no token")
        return token


def _check_status(reference: Reference, answer: Answer, what: str) -> None:
    registry = reference.registry
    match answer.status:
        case 200:
            return
        case 401 | 403:
            raise RegistryError(
                f"{registry} does not let this user pull {reference.repository} ({answer.status})",
                f"log in with `podman login {registry}`; some registries say this of a name that does not exist",
            )
        case 404:
            raise RegistryError(f"{registry} has no {what} of {reference.repository}", "correct the name or the tag")
        case 429:
            raise RegistryError(
                f"{registry} lets this address ask no more for now (429)",
                f"wait, or log in with `podman login {registry}` for a higher limit",
            )
        case status if 300 <= status < 400:  # noqa: PLR2004  the redirects
            raise RegistryError(f"{registry} sends on to another place ({status})", "name the registry that it is in")
        case status:
            raise RegistryError(f"{registry} answers {status}", "try again later" if status >= 500 else None)  # noqa: PLR2004  its own faults


def _check_digest(body: bytes, digest: str) -> None:
    name, _, stated = digest.partition(":")
    if name not in {"sha256", "sha512"}:
        raise RegistryError(f"it has a digest of the kind {name[:20]!r}, which cannot be checked")
    if hashlib.new(name, body).hexdigest() != stated:
        raise RegistryError(
            "what the registry sent is not what its digest says",
            "something between here and the registry changes what is sent; do not use it before you know what",
        )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise AnswerError("it answers with something that is no JSON object")
    return data


def _parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(text):
        value = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        found.setdefault(match[1].lower(), value)
    return found


def _entry(index: Fetched, architecture: str) -> dict[str, Any] | None:
    """Return the manifest of *index* for Linux on *architecture*; of several variants the plainest, then the first."""
    entries = index.data.get("manifests")
    fitting = []
    for entry in entries if isinstance(entries, list) else ():
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if (
            isinstance(platform, dict)
            and platform.get("os") == "linux"
            and platform.get("architecture") == architecture
            and entry.get("mediaType") in MANIFESTS
        ):
            fitting.append((str(platform.get("variant", "")) not in {"", "v1", "v8"}, entry))
    return _descriptor(min(fitting, key=lambda item: item[0])[1]) if fitting else None


def _layers(manifest: Fetched) -> list[dict[str, Any]]:
    layers = manifest.data.get("layers")
    if not isinstance(layers, list) or len(layers) > _MOST_LAYERS:
        raise AnswerError("its manifest has no list of layers")
    return [_descriptor(layer) for layer in layers]


def _layers_size(manifest: Fetched) -> int:
    # a layer that is there twice is pulled once
    return sum({layer["digest"]: int(layer["size"]) for layer in _layers(manifest)}.values())


def _descriptor(data: Any) -> dict[str, Any]:
    size = data.get("size") if isinstance(data, dict) else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not _DIGEST.match(str(data.get("digest"))):
        raise AnswerError("its manifest has a part without digest or size")
    part: dict[str, Any] = data
    return part
