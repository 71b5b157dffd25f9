"""Writes a Report for people, with the line and a caret under the fault, and for tools, as JSON.

No function here raises for odd input: what cannot be shown is replaced, what is too long is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelgrid.diagnostics import Severity, format_path
from modelgrid.redaction import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelgrid.diagnostics import Diagnostic, Location, Report
    from modelgrid.errors import ModelGridError

#: Characters of an excerpt that are shown, and of them before the fault.
_WINDOW = 100
_BEFORE = 40

#: A message or path beyond this says no more for being longer.
_LONGEST = 400

_COLOURS = {"error": "1;31", "warning": "1;33", "gutter": "1;34", "hint": "1;36", "title": "1"}


def render_text(report: Report, *, colour: bool = False) -> str:
    """Write *report* as a compiler does, a blank line between diagnostics; *colour* adds ANSI colours."""
    return "\n\n".join("\n".join(_diagnostic_lines(item, colour=colour)) for item in report)


def to_json(report: Report, *, error: ModelGridError | None = None) -> str:
    """Write *report* as a JSON object: ``diagnostics``, in order, and the numbers of ``errors`` and ``warnings``.

    *error* is what ended the command without a place in the file: it counts as one more error, and is in ``message``
    and ``hint``.
    """
    import json  # noqa: PLC0415  only for tools

    data: dict[str, Any] = {
        "diagnostics": [diagnostic_data(item) for item in report],
        "errors": len(report.errors) + (error is not None),
        "warnings": len(report.warnings),
    }
    if error is not None:
        data |= {"message": mask(error.message), "hint": mask(error.hint) if error.hint else None}
    # escapes only: a lone surrogate in a file name must not fail when the text is printed
    return json.dumps(data, indent=2, ensure_ascii=True)


def diagnostic_data(item: Diagnostic) -> dict[str, Any]:
    """Return *item* as values that JSON has."""
    location = item.location
    return {
        "code": item.code,
        "severity": item.severity.value,
        "message": mask(item.message),
        "hint": mask(item.hint) if item.hint else None,
        "path": mask(format_path(item.path)),
        "file": location.file if location else None,
        "line": location.line if location else None,
        "column": location.column if location else None,
        "length": location.length if location else None,
        "related": [
            {
                "message": mask(other.message),
                "file": other.location.file,
                "line": other.location.line,
                "column": other.location.column,
                "length": other.location.length,
            }
            for other in item.related
        ],
    }


def _diagnostic_lines(item: Diagnostic, *, colour: bool) -> Iterable[str]:
    def paint(kind: str, text: str) -> str:
        return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if colour else text

    severity = "error" if item.severity is Severity.ERROR else "warning"
    yield paint(severity, f"{severity}[{_line(item.code)}]") + paint("title", f": {_line(item.message)}")
    location = item.location
    shown = (*([location] if location else []), *(other.location for other in item.related))
    width = max((len(str(place.line)) for place in shown), default=1)
    arrow = f"{' ' * width}{paint('gutter', '-->')}"

    def source(place: Location, kind: str) -> Iterator[str]:
        """The line of *place*, with carets in the colour of *kind*."""
        if place.excerpt.strip():
            text, marks = _excerpt(place)
            gutter = paint("gutter", " " * (width + 1) + "|")
            yield gutter
            yield f"{paint('gutter', f'{place.line:{width}} |')} {text}"
            yield f"{gutter} {paint(kind, marks)}"

    path = f" at {_line(format_path(item.path))}" if item.path else ""
    if location is not None:
        yield f"{arrow} {_line(str(location))}{path}"
        yield from source(location, severity)
    elif path:
        yield f"{arrow}{path}"
    for other in item.related:
        yield f"{arrow} {_line(str(other.location))}: {_line(other.message)}"
        yield from source(other.location, "hint")
    if item.hint:
        yield f"{' ' * (width + 1)}{paint('gutter', '=')} {paint('hint', 'hint:')} {_line(item.hint)}"


def _excerpt(location: Location) -> tuple[str, str]:
    """Return the part of the line around the fault, and the line of carets under it."""
    line = location.excerpt
    start = min(max(location.column - 1, 0), len(line))
    end = min(max(start + location.length, start + 1), max(len(line), start + 1))
    first = 0 if len(line) <= _WINDOW else max(0, min(start - _BEFORE, len(line) - _WINDOW))
    last = min(len(line), first + _WINDOW)
    end = min(end, max(last, start + 1))
    head, tail = ("…" if first else ""), ("…" if last < len(line) else "")
    before = head + _visible(line[first:start])
    fault = _visible(line[start:end])
    text = f"{before}{fault}{_visible(line[end:last])}{tail}".rstrip()
    return text, " " * _columns(before) + "^" * max(_columns(fault), 1)


def _visible(text: str) -> str:
    """Replace what moves the cursor or cannot be encoded: a tab by one space, the rest by U+FFFD."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else " " if char.isspace() and char < "\x7f" else "\ufffd" for char in text
    )


def _line(text: str) -> str:
    """Make one line of *text* that is safe to print: masked, cut, and with escapes for what cannot be seen."""
    text = mask(text)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _columns(text: str) -> int:
    """Return how many terminal columns *text* takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415  only where a fault stands behind other than ASCII

    width = 0
    for char in text:
        if not unicodedata.combining(char) and unicodedata.category(char) not in {"Mn", "Me"}:
            width += 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
    return width
