"""What drift is: how a host differs from what was applied to it, one finding for each difference."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class DriftKind(Enum):
    """The kinds of drift. The words are for tools, and stay."""

    #: The last change was not seen healthy: one is under way, or was killed.
    INTERRUPTED = "interrupted"
    FILE_EDITED = "file-edited"
    FILE_MISSING = "file-missing"
    FILE_ADDED = "file-added"
    LINK_MISSING = "link-missing"
    LINK_ELSEWHERE = "link-elsewhere"
    #: The boot does not start the grid.
    DISABLED = "disabled"
    #: A file of another takes the place of a unit of ours.
    UNIT_REPLACED = "unit-replaced"
    DROP_IN = "drop-in"
    MASKED = "masked"
    #: systemd has read older files than those on the disk.
    NEEDS_RELOAD = "needs-reload"
    NOT_RUNNING = "not-running"
    FAILED = "failed"
    #: The container was made by other definitions than the current ones.
    CONTAINER_OUTDATED = "container-outdated"
    #: The name of its image means another image by now.
    IMAGE_MOVED = "image-moved"
    #: A container with a name of ours that no unit runs.
    CONTAINER_UNOWNED = "container-unowned"
    DEVICE_MISSING = "device-missing"
    DRIVER_CHANGED = "driver-changed"


#: What an apply would undo: somebody's change to files and links of ours, or a unit that was stopped.
OVERWRITTEN = frozenset(
    {
        DriftKind.FILE_EDITED,
        DriftKind.FILE_MISSING,
        DriftKind.FILE_ADDED,
        DriftKind.LINK_MISSING,
        DriftKind.LINK_ELSEWHERE,
        DriftKind.NOT_RUNNING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference between what was applied and what is.

    Attributes:
        message: what differs, one clause that names its subject.
        mend: what makes it as it was, one clause.
        path: the file or link that it is about; empty for none.
        unit: the unit that it is about; empty for none.
        model: the models that the unit serves; empty where it serves none.
    """

    kind: DriftKind
    message: str
    mend: str
    path: str = ""
    unit: str = ""
    model: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as values that JSON has."""
        return {
            "kind": self.kind.value,
            "message": self.message,
            "mend": self.mend,
            "path": self.path or None,
            "unit": self.unit or None,
            "model": self.model or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """All differences, by kind. *unseen* says what could not be looked at, one sentence each."""

    findings: tuple[Finding, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def overwritten(self) -> tuple[Finding, ...]:
        """What an apply would undo."""
        return tuple(item for item in self.findings if item.kind in OVERWRITTEN)

    def to_dict(self) -> dict[str, Any]:
        """Return the drift as values that JSON has."""
        return {"drift": [item.to_dict() for item in self.findings], "unseen": list(self.unseen)}
