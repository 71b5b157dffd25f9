"""What weights say of themselves, from the files on this host or from the lock file, for estimates of their memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.errors import ConfigError, HostError
from modelgrid.models.sources import SourceKind, package_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import PurePath

    from modelgrid.compile.wanted import Wanted, WantedModel
    from modelgrid.lock.hub import Snapshot
    from modelgrid.lock.values import Fact, Lock
    from modelgrid.models.metadata import ModelMetadata
    from modelgrid.models.sources import Source


def estimator(
    *, base: Path, cache: PurePath, lock: Lock | None, foreign: bool
) -> Callable[[Wanted, WantedModel], int | None]:
    """Return the function that estimates a model's memory, in bytes; none where its weights are not at hand.

    Files of this host are read unless the target is another, *foreign*. Else what the *lock* has counts. Weights that
    cannot be read are no fault here: their memory can be given.
    """
    known: dict[Source, ModelMetadata | None] = {}

    def metadata(source: Source) -> ModelMetadata | None:
        if source not in known:
            known[source] = (None if foreign else _on_disk(source, base, cache)) or _locked(source, lock)
        return known[source]

    def estimate(want: Wanted, model: WantedModel) -> int | None:
        found = metadata(model.source) if model.source is not None else None
        if found is None:
            return None
        from modelgrid.compile.estimates import memory_of  # noqa: PLC0415  only where there are weights to read

        return memory_of(want, found)

    return estimate


def _on_disk(source: Source, base: Path, cache: PurePath) -> ModelMetadata | None:
    from modelgrid.models.read import read_metadata  # noqa: PLC0415  only where there are weights to read

    match source.kind:
        case SourceKind.PATH:
            path = base / source.value
        case SourceKind.PACKAGE:
            path = Path(package_path(source, cache))
        case _:
            return None
    try:
        return read_metadata(path)
    except (ConfigError, HostError):
        return None


def _locked(source: Source, lock: Lock | None) -> ModelMetadata | None:
    from modelgrid.models.facts import from_facts  # noqa: PLC0415  only where there is a lock

    locked = lock.model(source) if lock is not None else None
    try:
        return from_facts(locked.facts) if locked is not None else None
    except ConfigError:
        return None


def describe_snapshot(snapshot: Snapshot) -> Mapping[str, Fact]:
    """Return the facts of a repository's weights that a lock file keeps."""
    from modelgrid.models.facts import describe  # noqa: PLC0415  only `lock` asks the hub

    return describe(snapshot.contents, {name: file.size for name, file in snapshot.files.items()})


def describe_path(path: Path) -> Mapping[str, Fact]:
    """Return the same of weights on this host; none where they have no form that is known, or are damaged."""
    from modelgrid.models.facts import to_facts  # noqa: PLC0415  only `lock` hashes files
    from modelgrid.models.read import read_metadata  # noqa: PLC0415  the same

    try:
        found = read_metadata(path)
    except (ConfigError, HostError):
        return {}
    return to_facts(found) if found is not None else {}
