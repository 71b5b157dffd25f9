"""Printing: the result of a command on stdout, all else on stderr."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def result(text: str = "") -> None:
    """Print one line or block of a command's result."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def result_json(value: Any) -> None:
    """Print a result for tools."""
    import json  # noqa: PLC0415  most results are for people

    result(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Print progress, a warning or an explanation. Where nobody reads it any more, the work goes on."""
    try:
        sys.stderr.write(text if text.endswith("\n") else f"{text}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Let what goes to *stream* go nowhere: its reader has gone, and the flush at exit must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def counted(count: int, word: str) -> str:
    """Return *count* and *word*, ``1 error`` or ``2 errors``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def use_colour(stream: TextIO | None = None) -> bool:
    """Say whether *stream* (stderr) shall have colour: a terminal, and NO_COLOR (no-color.org) is not set."""
    return (stream or sys.stderr).isatty() and not os.environ.get("NO_COLOR")


def table(rows: Iterable[Sequence[str]], header: Sequence[str]) -> str:
    """Lay *rows* out in columns under *header*, two spaces apart."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
