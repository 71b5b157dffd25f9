"""Faults and warnings with their place in the file, collected first and reported together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Where in the data: keys and list indices from the top, as pydantic's ``loc`` has them.
Path: TypeAlias = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_STEP = re.compile(r'\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]+)\]|\["((?:[^"\\]|\\.)*)"\]', re.DOTALL)


def format_path(path: Path) -> str:
    """Write *path* as ``$.models["llama3:8b"].aliases[0]``: keys that need quotes get them."""
    text = "$"
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.match(step):
            text += f".{step}"
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def parse_path(text: str) -> Path:
    """Read what :func:`format_path` wrote.

    Raises:
        ValueError: *text* is no such path.
    """
    path: list[str | int] = []
    place = 1
    while place < len(text):
        step = _STEP.match(text, place)
        if step is None:
            break
        key, index, quoted = step.groups()
        path.append(int(index) if index is not None else key or re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        place = step.end()
    if not text.startswith("$") or place != len(text):
        raise ValueError(f"{text!r} is no path")
    return tuple(path)


class Severity(Enum):
    """How much a diagnostic weighs: an error stops the pipeline, a warning does so under ``--strict``."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place in a text file.

    Attributes:
        line: from 1.
        column: from 1, in characters.
        length: in characters, at least 1, and never beyond the line.
        excerpt: the whole line, with literal secrets masked; empty where the text is not at hand. Two places
            are equal without it.
    """

    file: str
    line: int
    column: int
    length: int = 1
    excerpt: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """Another place that has to do with a fault, such as the rule that was broken; *message* says what it is."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One fault or warning.

    Attributes:
        code: stable, ``MG`` and four digits; what ``modelgrid explain`` takes.
        message: what is wrong, with the value that was found.
        path: where in the data.
        location: where in the text; none only when the fault has no place (an empty file).
        related: other places, in this file or another, that a reader needs to see.
        hint: the way out, apart from the message.
    """

    code: str
    message: str
    path: Path = ()
    location: Location | None = None
    related: tuple[Related, ...] = ()
    hint: str | None = None
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Report:
    """All diagnostics of a stage, in the order of the file; file after file where there are several."""

    diagnostics: tuple[Diagnostic, ...] = field(default=())

    @classmethod
    def of(cls, diagnostics: Iterable[Diagnostic]) -> Report:
        """Sort *diagnostics* by their place; those without one come first. Files keep the order they come in."""
        found = tuple(diagnostics)
        files: dict[str, int] = {}
        for item in found:
            if item.location is not None:
                files.setdefault(item.location.file, len(files))

        def place(diagnostic: Diagnostic) -> tuple[int, int, int, str]:
            location = diagnostic.location
            if location is None:
                return (-1, 0, 0, diagnostic.code)
            return (files[location.file], location.line, location.column, diagnostic.code)

        return cls(tuple(sorted(found, key=place)))

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that stop the pipeline."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that stop it only under ``--strict``."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.WARNING)

    def __add__(self, other: Report) -> Report:
        return Report.of((*self.diagnostics, *other.diagnostics))

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.diagnostics)

    def __bool__(self) -> bool:
        return bool(self.diagnostics)
