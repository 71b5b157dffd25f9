"""A fault by its path in the data, before it has a place in the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.diagnostics import Diagnostic, Severity
from modelgrid.redaction import mask

if TYPE_CHECKING:
    from collections.abc import Collection

    from modelgrid.config.load import Document
    from modelgrid.diagnostics import Path


#: Code of the fault that stands for all those beyond a bound.
TOO_MANY = "MG2008"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong at *path*. *at_key*: with its last key, or that of its section where that is missing."""

    code: str
    message: str
    path: Path
    hint: str | None = None
    at_key: bool = False
    warning: bool = False

    def diagnose(self, document: Document) -> Diagnostic:
        """Return the diagnostic of this fault, placed in *document*."""
        location = (document.key(self.path) or document.key(self.path[:-1])) if self.at_key else None
        return Diagnostic(
            code=self.code,
            message=mask(self.message),
            path=self.path,
            location=location or document.locate(self.path),
            hint=mask(self.hint) if self.hint else None,
            severity=Severity.WARNING if self.warning else Severity.ERROR,
        )


def unused(path: Path, message: str) -> Fault:
    """Return the warning that nothing names what is declared at *path*."""
    hint = "remove it, or keep it under a key that starts with x-"
    return Fault(code="MG3017", message=message, path=path, hint=hint, at_key=True, warning=True)


#: More names than these are not compared, and not listed: to compare one takes 0.1 ms, and a file can have a hundred
#: such faults.
_MOST_COMPARED = 200
_MOST_LISTED = 20


def closest(text: str, known: Collection[str]) -> str | None:
    """Return the one of *known* that *text* is most likely a misspelling of; none where none is near."""
    from difflib import get_close_matches  # noqa: PLC0415  only for a faulty file

    if len(known) > _MOST_COMPARED:
        return None
    # its time grows with the product of the lengths, and no name is that long
    matches = get_close_matches(text[:100], sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def suggestion(text: str, known: Collection[str]) -> str | None:
    """Return the hint for *text*, which is none of *known*: the closest of them, or all if they are few."""
    match = closest(text, known)
    if match is not None:
        return f'did you mean "{match}"?'
    return f"known are: {', '.join(sorted(known))}" if 0 < len(known) <= _MOST_LISTED else None
