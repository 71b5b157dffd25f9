"""What a lock file says, as frozen values, and the questions that compiling has for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from modelgrid.models.sources import SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelgrid.models.sources import Source

LOCK_VERSION: Final = 1

#: Architectures that are locked, by the names that images have for them (OCI image specification, image index).
ARCHITECTURES: Final = ("amd64", "arm64")

#: The same by the names of uname(2), which facts of a host have.
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

#: A fact about a model that estimates need.
Fact: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedManifest:
    """The image of one architecture. *digest*: of its manifest; *size*: bytes of its layers as they are pulled."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedImage:
    """An image by its *digest*, ``sha256:`` and 64 hex digits: that of its index, or of its manifest without one."""

    digest: str
    architectures: Mapping[str, LockedManifest]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """A file of weights. *size*: in bytes; *sha256*: 64 hex digits."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModel:
    """The weights of a model.

    Attributes:
        revision: the commit of a repository, the digest of a manifest of Ollama's library; empty for files of a host.
        files: by their paths below the source, with ``/``; a source that is a file has one by its own name.
        facts: what estimates need to know of it, where something was read.
    """

    revision: str = ""
    files: Mapping[str, LockedFile]
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Everything that is locked: images by the reference as it is written, models by :func:`model_key`.

    Two locks are equal whatever the order in which their parts were found.
    """

    images: Mapping[str, LockedImage] = field(default_factory=dict)
    models: Mapping[str, LockedModel] = field(default_factory=dict)

    def image(self, reference: str) -> LockedImage | None:
        """Return what *reference* is locked to; none where it is not locked."""
        return self.images.get(reference)

    def model(self, source: Source) -> LockedModel | None:
        """Return what the weights of *source* are locked to; none where they are not locked."""
        return self.models.get(model_key(source))

    def revision(self, source: Source) -> str:
        """Return the commit of the repository *source*; empty where it is none or not locked."""
        locked = self.model(source) if source.kind is SourceKind.REPOSITORY else None
        return locked.revision if locked is not None else ""

    def pin(self, reference: str) -> str:
        """Return *reference* with the digest that it is locked to, ``registry/name:tag@sha256:…``.

        podman takes tag and digest together since 3.3 and goes by the digest alone, so the tag stays for the reader
        (containers/common, libimage, ``normalizeTaggedDigestedString``). bootc and skopeo refuse it: see
        :func:`without_tag`. The digest is that of the index where there is one, whatever the host: the output is the
        same for every architecture, signatures are attached to it, and podman checks the chain from it to the layers.

        A reference that is not locked, or that has a digest already, is returned as it is.
        """
        locked = self.image(reference)
        return reference if locked is None or "@" in reference else f"{reference}@{locked.digest}"

    def lacks(self, reference: str, machine: str) -> bool:
        """Say whether *reference* is locked and has no image for a host of *machine* (uname -m)."""
        locked, architecture = self.image(reference), architecture_of(machine)
        return locked is not None and architecture is not None and architecture not in locked.architectures

    def pull_size(self, reference: str, machine: str) -> int | None:
        """Return the bytes that a host of *machine* without any of *reference* pulls; none where they are not known."""
        locked = self.image(reference)
        found = locked.architectures.get(architecture_of(machine) or "") if locked is not None else None
        return found.size if found is not None else None


def architecture_of(machine: str) -> str | None:
    """Return what images call the *machine* (uname -m); none for one that is not locked."""
    return _MACHINES.get(machine)


def without_tag(reference: str) -> str:
    """Return ``name@digest`` for ``name:tag@digest``, for tools that refuse both; any other reference as it is."""
    name, at, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}@{digest}" if at else reference


def model_key(source: Source) -> str:
    """Return the name that *source* has in a lock file: as it is written, a name of Ollama's library as ``ollama://NAME``."""
    match source.kind:
        case SourceKind.REPOSITORY:
            return f"hf://{source.value}"
        case SourceKind.PACKAGE:
            return f"package://{source.value}"
        case SourceKind.NAME:
            return f"ollama://{source.value}"
        case SourceKind.PATH:
            return source.value


def only(lock: Lock, *, images: Iterable[str], models: Iterable[str]) -> Lock:
    """Return *lock* without what is neither in *images* nor in *models*."""
    kept_images, kept_models = set(images), set(models)
    return replace(
        lock,
        images={name: image for name, image in lock.images.items() if name in kept_images},
        models={name: model for name, model in lock.models.items() if name in kept_models},
    )
