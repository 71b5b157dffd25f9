"""References of images: which registry has them, under which name (the grammar of distribution's reference package)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: What `docker.io` is called on the network; its names without a folder are in `library`.
_DOCKER_HUB: Final = "docker.io"
_DOCKER_REGISTRY: Final = "registry-1.docker.io"

_REGISTRY = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?\Z")
_REPOSITORY = re.compile(r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_OLLAMA = re.compile(
    r"((?P<host>[^/]+)/(?=[^/]+/))?((?P<namespace>[A-Za-z0-9_][A-Za-z0-9_.-]*)/)?"
    r"(?P<model>[A-Za-z0-9_][A-Za-z0-9_.-]*)(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?\Z"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image in a registry.

    Attributes:
        registry: as it is written, ``docker.io``, ``localhost:5000``.
        host: the registry's name and port on the network.
        repository: the name in it.
        tag: empty where a digest is all that there is.
        digest: ``sha256:…``; empty where the tag says which.
    """

    registry: str
    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def wanted(self) -> str:
        """What the registry is asked for: the digest where there is one, else the tag."""
        return self.digest or self.tag


def parse_reference(text: str) -> Reference:
    """Read a fully qualified reference, ``registry/name[:tag][@digest]``; without both, the tag is ``latest``.

    Raises:
        ValueError: it is none; the message says why.
    """
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.match(digest):
        raise ValueError("its digest is not sha256: and 64 hex digits")
    registry, _, path = rest.partition("/")
    folder, slash, last = path.rpartition("/")
    name, colon, tag = last.partition(":")
    repository = f"{folder}{slash}{name}"
    if not _REGISTRY.match(registry) or not path:
        raise ValueError("it names no registry")
    if not _REPOSITORY.match(repository):
        raise ValueError(f"{repository!r} is no name in a registry: lower-case letters, digits and . _ - /")
    if colon and not _TAG.match(tag):
        raise ValueError(f"{tag!r} is no tag")
    if registry == _DOCKER_HUB:
        repository = repository if "/" in repository else f"library/{repository}"
    return Reference(
        registry=registry,
        host=_DOCKER_REGISTRY if registry == _DOCKER_HUB else registry,
        repository=repository,
        tag=tag or ("" if digest else "latest"),
        digest=digest,
    )


def parse_ollama(name: str) -> Reference:
    """Return where Ollama's program pulls *name* from: ``[HOST/][NAMESPACE/]NAME[:TAG]`` (ollama, types/model/name.go).

    Raises:
        ValueError: the name has another form.
    """
    match = _OLLAMA.match(name)
    if match is None:
        raise ValueError("it is no name of Ollama's library")
    host, namespace, model, tag = match["host"], match["namespace"], match["model"], match["tag"]
    if host and not _REGISTRY.match(host):
        raise ValueError(f"{host!r} is no registry")
    host = host or "registry.ollama.ai"
    repository = f"{namespace or 'library'}/{model}"
    return Reference(registry=host, host=host, repository=repository, tag=tag or "latest")
