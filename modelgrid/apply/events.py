"""What apply tells while it works, and what it raises when a unit does not come up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class EventKind(Enum):
    """What an event is about."""

    STEP = "step"
    #: A job was queued.
    JOB = "job"
    #: A job has ended.
    RESULT = "result"
    #: A line of a failed unit's journal.
    LOG = "log"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One piece of progress. *message* is for people; *unit* and *model* are empty where it is about none."""

    kind: EventKind
    message: str
    unit: str = ""
    model: str = ""


OnEvent: TypeAlias = "Callable[[Event], None]"


def ignore(_event: Event) -> None:
    """Hear of nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFailure:
    """A unit that did not come up.

    Attributes:
        model: the model that it serves; empty where it serves none.
        result: systemd's word for it: ``exit-code``, ``timeout``, ``dependency``; ``down`` if it went down again at
            once.
        log: the last lines of its journal.
        image: the image that it pulls; empty where it pulls none.
    """

    unit: str
    model: str
    result: str
    log: tuple[str, ...] = ()
    image: str = ""

    def __str__(self) -> str:
        if self.image:
            return f"the image {self.image} cannot be pulled"
        subject = f"model {self.model}" if self.model else self.unit
        return f"{subject} {_CLAUSES.get(self.result, f'failed to start ({self.result})')}"


_CLAUSES = {
    "failed": "failed to start",
    "exit-code": "failed to start",
    "oom-kill": "ran out of memory",
    "timeout": "was not ready in time",
    "dependency": "could not start, because what it needs failed",
    "down": "started and went down again",
    "manifest": "does not serve the new routes",
}


class ApplyError(HostError):
    """Units did not come up. *failures* says which, with the last lines of their journals."""

    def __init__(self, failures: Sequence[UnitFailure], *, outcome: str = "", hint: str | None = None) -> None:
        self.failures = tuple(failures)
        told = "; ".join(str(failure) for failure in self.failures)
        first = self.failures[0].unit if self.failures else ""
        super().__init__(f"{told}{outcome}", hint=hint or f"see more with: journalctl -u {first}")

    def ending(self, outcome: str) -> ApplyError:
        """Return the same with a clause that says what the host runs now."""
        return ApplyError(self.failures, outcome=f"; {outcome}", hint=self.hint)
