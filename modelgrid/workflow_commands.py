"""Writes a Report as GitHub's workflow commands, which become annotations of a change.

Form and escapes: "Workflow commands for GitHub Actions" in GitHub's documentation, and the functions escapeData and
escapeProperty of @actions/core, which the runner undoes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.diagnostics import Severity, format_path
from modelgrid.places import below
from modelgrid.redaction import mask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePath

    from modelgrid.diagnostics import Diagnostic, Location, Report
    from modelgrid.errors import ModelGridError

_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def to_workflow_commands(report: Report, *, base: PurePath, error: ModelGridError | None = None) -> str:
    """Write one line for each diagnostic of *report*, and one for *error*, which has no place in the file.

    File names below *base* are relative to it.
    """
    return "\n".join(_commands(report, base, error))


def _commands(report: Report, base: PurePath, error: ModelGridError | None) -> Iterator[str]:
    for item in report:
        kind = "error" if item.severity is Severity.ERROR else "warning"
        related = "".join(f"\n{other.message}: {_place(other.location, base)}" for other in item.related)
        message = _message(item.message + related, item.hint, format_path(item.path))
        yield _command(kind, _properties(item, base), message)
    if error is not None:
        yield _command("error", {"title": "modelgrid"}, _message(error.message, error.hint, "$"))


def _properties(item: Diagnostic, base: PurePath) -> dict[str, str]:
    place = {}
    if item.location is not None:
        location = item.location
        place = {
            "file": below(location.file, base),
            "line": str(location.line),
            "endLine": str(location.line),
            "col": str(location.column),
            "endColumn": str(location.column + location.length),
        }
    return {**place, "title": f"modelgrid {item.code}"}


def _place(location: Location, base: PurePath) -> str:
    return f"{below(location.file, base)}:{location.line}:{location.column}"


def _command(kind: str, properties: dict[str, str], message: str) -> str:
    words = ",".join(f"{name}={_visible(value).translate(_PROPERTY)}" for name, value in properties.items())
    return f"::{kind} {words}::{_visible(message).translate(_DATA)}"


def _message(text: str, hint: str | None, path: str) -> str:
    place = f"\nat {path}" if path != "$" else ""
    return mask(f"{text}{place}\nhint: {hint}" if hint else f"{text}{place}")


def _visible(text: str) -> str:
    """Write what cannot be seen as an escape; line ends stay, a command escapes them in its own way."""
    return "".join(
        char if char.isprintable() or char in "\r\n" else char.encode("unicode_escape").decode("ascii") for char in text
    )
