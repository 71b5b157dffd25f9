"""The files of a form, as they are written to a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelgrid.emit.artifact import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """A file of a form: *path* below the output folder with ``/``, its bytes, its permission bits."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """All files of a form. *notes* are sentences on what is left to do by hand."""

    files: tuple[OutputFile, ...]
    notes: tuple[str, ...] = ()


def as_it_is(artifacts: Iterable[Artifact]) -> Output:
    """Return the compiled tree itself."""
    return Output(files=tuple(map(of_artifact, artifacts)))


def of_artifact(artifact: Artifact) -> OutputFile:
    """Return *artifact* as a file of the output, at its own path."""
    return OutputFile(path=artifact.path, content=artifact.content.encode(), mode=artifact.mode)
