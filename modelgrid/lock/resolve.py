"""From what a configuration names to a lock: what is locked stays, what is new is asked for, what is unused goes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from modelgrid.lock.hashing import UnhashableError
from modelgrid.lock.references import parse_ollama, parse_reference
from modelgrid.lock.registry import RegistryError
from modelgrid.lock.values import Lock, LockedModel, only
from modelgrid.lock.web import AnswerError, UnreachableError
from modelgrid.models.sources import Source, SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from modelgrid.lock.hub import Hub, Snapshot
    from modelgrid.lock.registry import Registry
    from modelgrid.lock.values import Fact, LockedImage


class UnresolvedError(Exception):
    """A name cannot be resolved. *hint* is the way out; *missing*: a file of this host is not there."""

    def __init__(self, message: str, hint: str | None = None, *, missing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.missing = missing


class Resolver(Protocol):
    """Says what a name means now.

    Both raise UnresolvedError where it means nothing, and UnreachableError where nobody answers.
    """

    def image(self, reference: str) -> LockedImage:
        """Return what the image *reference* means."""

    def model(self, source: Source) -> LockedModel:
        """Return what the weights of *source* are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkResolver:
    """Asks registries, the hub and the disk.

    Attributes:
        base: folder that relative paths start from.
        describe: what estimates need to know of a repository, from the files in ``Snapshot.contents``.
    """

    registry: Registry
    hub: Hub
    hash_path: Callable[[Path], LockedModel]
    base: Path
    describe: Callable[[Snapshot], Mapping[str, Fact]] = lambda _: {}

    def image(self, reference: str) -> LockedImage:
        """Ask the registry that *reference* names."""
        with _explained(reference):
            return self.registry.image(parse_reference(reference))

    def model(self, source: Source) -> LockedModel:
        """Ask the hub or Ollama's library, or hash the files."""
        with _explained(source.value):
            match source.kind:
                case SourceKind.REPOSITORY:
                    found = self.hub.snapshot(source.value)
                    return LockedModel(revision=found.revision, files=found.files, facts=self.describe(found))
                case SourceKind.NAME:
                    return self.registry.weights(parse_ollama(source.value))
                case SourceKind.PATH | SourceKind.PACKAGE:
                    return self.hash_path(self.base / source.value)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what goes wrong while *name* is resolved into a sentence that has it."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnresolvedError(f"{error.filename} does not exist", "correct the path", missing=True) from None
    except OSError as error:
        raise UnresolvedError(f"cannot read {error.filename or name}: {error.strerror or error}") from None
    except (ValueError, UnhashableError) as error:
        raise UnresolvedError(f"{name} cannot be locked: {error}") from None
    except RegistryError as error:
        raise UnresolvedError(f"{name}: {error.message}", error.hint) from None
    except AnswerError as error:
        raise UnresolvedError(f"{name}: what answers is not what it should be: {error}") from None
    except UnreachableError as error:
        raise UnreachableError(f"cannot resolve {name}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocked:
    """The new *lock*, and what could not be resolved: by reference, or by the key of a model."""

    lock: Lock
    faults: Mapping[str, UnresolvedError]


def relock(
    old: Lock,
    *,
    images: Collection[str],
    models: Mapping[str, Source],
    resolver: Resolver,
    update: Iterable[str] = (),
    tell: Callable[[str], object] = lambda _: None,
) -> Relocked:
    """Return *old* made to fit *images* and *models*, which are by their keys in a lock.

    Every pin that is there stays, but for those that *update* names; the rest is asked for in sorted order, each after
    *tell* got its name. What cannot be resolved is left as it is in *old*, and is among the faults.

    Raises:
        UnreachableError: a registry or the hub does not answer.
    """
    again = set(update)
    kept = only(old, images=images, models=models)
    new_images, new_models = dict(kept.images), dict(kept.models)
    faults: dict[str, UnresolvedError] = {}
    for reference in sorted(images):
        if reference not in new_images or reference in again:
            tell(reference)
            try:
                new_images[reference] = resolver.image(reference)
            except UnresolvedError as fault:
                faults[reference] = fault
    for key in sorted(models):
        if key not in new_models or key in again:
            tell(key)
            try:
                new_models[key] = resolver.model(models[key])
            except UnresolvedError as fault:
                faults[key] = fault
    return Relocked(lock=Lock(images=new_images, models=new_models), faults=faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The names that a new lock has and the old had not, has otherwise, and has no more; each sorted."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.updated or self.removed)


def changes(old: Lock, new: Lock) -> Changes:
    """Return what is different between *old* and *new*."""
    before: dict[str, object] = {**old.images, **old.models}
    after: dict[str, object] = {**new.images, **new.models}
    return Changes(
        added=tuple(sorted(after.keys() - before.keys())),
        updated=tuple(sorted(name for name in after.keys() & before.keys() if after[name] != before[name])),
        removed=tuple(sorted(before.keys() - after.keys())),
    )
