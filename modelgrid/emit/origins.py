"""Leads back from a line of an emitted unit to the parts of the configuration that it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.unitfile import Assignment, UnitSyntaxError, assignments

if TYPE_CHECKING:
    from modelgrid.emit.artifact import Artifact
    from modelgrid.emit.unitfile import Key


def lines_of(artifact: Artifact) -> tuple[Assignment, ...]:
    """Return the assignments of the unit *artifact*; none where it is no unit."""
    try:
        return tuple(assignments(artifact.content))
    except UnitSyntaxError:
        return ()


def origins_at(artifact: Artifact, line: int) -> tuple[str, ...]:
    """Return what *line* of *artifact* comes from, ``$.models.qwen.context``; nothing where that is ModelGrid."""
    return tuple(origin for number, origin in artifact.origins if number == line)


def origins_of_key(artifact: Artifact, key: Key, value: str | None = None) -> tuple[str, ...]:
    """Return what the assignments of *key* in *artifact* come from, with *value* only those of that."""
    found = (item for item in lines_of(artifact) if item.key == key and value in {None, item.value})
    return tuple(dict.fromkeys(origin for item in found for origin in origins_at(artifact, item.line)))


def unit_origin(artifact: Artifact) -> str:
    """Return what the whole unit comes from, ``$.models.qwen``; empty where it says nothing of that.

    It is in the file itself, so a tree that was read back has it too.
    """
    written = [item.value for item in lines_of(artifact) if item.key == ("X-ModelGrid", "Origin")]
    return written[-1] if written else ""
