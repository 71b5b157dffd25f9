"""Why a host would refuse a tree: every fault that was found, told at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that keeps apply from beginning: a sentence, and the way out."""

    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found about a tree on a host: *problems*, which refuse it, and *notes*, which do not."""

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Findings) -> Findings:
        return Findings(problems=self.problems + other.problems, notes=self.notes + other.notes)


class Refusal(HostError):  # noqa: N818  apply refuses: nothing was begun and nothing failed
    """The host cannot take a tree. *problems* says why, at least one. Nothing was written."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        if len(problems) == 1:
            super().__init__(problems[0].message, hint=problems[0].hint or None)
            return
        lines = [f"  {item.message}" + (f"\n    hint: {item.hint}" if item.hint else "") for item in problems]
        super().__init__("\n".join([f"this host cannot take it, for {len(problems)} reasons:", *lines]))
