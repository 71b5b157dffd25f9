"""Leads what the host's tools say about a tree back to the part of the configuration that caused it. Pure.

podman's generator names the file, and the key or the value or the line (podman, pkg/systemd/parser/unitfile.go and
pkg/systemd/quadlet/quadlet.go); systemd names file and line, or the unit and the value (src/shared/log.h, log_syntax).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.diagnostics import Diagnostic, Report
from modelgrid.emit.faults import first_path
from modelgrid.emit.names import unit_name
from modelgrid.emit.origins import lines_of, origins_at
from modelgrid.emit.unitfile import UnitSyntaxError, assignments
from modelgrid.errors import ConfigError, InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelgrid.emit.artifact import Artifact
    from modelgrid.emit.unitfile import Assignment
    from modelgrid.errors import ModelGridError

_REPORT_HINT = "this is a fault in ModelGrid: please report it with the output of modelgrid compile"

#: What the generator says once more after it has named the faults.
_SUMMARIES = ("processing encountered some errors", "No files parsed from")

#: A value that is shorter stands in a message by chance.
_TELLING = 4

_CONTAINS_LINE = re.compile(r"\bfile contains line (\d+):")
#: Values as messages quote them, and paths, which some do not quote.
_VALUES = re.compile(r"'([^']+)'|\"([^\"]+)\"|“([^”]+)”|(?<![\w./-])(/[^\s:,]+)|=(\S+)")


def refusal(
    tool: str,
    code: str,
    said: Sequence[str],
    artifacts: Sequence[Artifact],
    generated: Mapping[str, str],
) -> ModelGridError:
    """Return the error that *tool* has refused *artifacts* with the lines *said*.

    That is a ConfigError with a diagnostic of *code* for each line, as soon as one of them has its cause in the
    configuration; where none has, it is ModelGrid's fault, an InternalError that quotes them. *generated* are the
    services that the generator made, by name.
    """
    lines = [line for line in said if not line.startswith(_SUMMARIES)] or list(said)
    found = [(line, *_cause(line, artifacts, generated)) for line in lines]
    if not any(origins for _, _, origins in found):
        units = dict.fromkeys(unit for _, unit, _ in found if unit and not any(unit in line for line in lines))
        about = f" ({', '.join(units)})" if units else ""
        return InternalError(f"{tool} refuses what ModelGrid made: {'; '.join(lines)}{about}", hint=_REPORT_HINT)
    diagnostics = [
        Diagnostic(
            code=code,
            message=f"{tool} says: {line}",
            path=first_path(origins),
            hint=f"it may also be {' or '.join(origins[1:])}" if origins[1:] else None,
        )
        for line, _, origins in found
    ]
    return ConfigError(f"{tool} refuses the configuration", report=Report.of(diagnostics))


def _cause(
    line: str, artifacts: Sequence[Artifact], generated: Mapping[str, str]
) -> tuple[str | None, tuple[str, ...]]:
    """Return the unit that *line* is about and the parts of the configuration behind it, as far as they are known."""
    subject = _subject(line, artifacts)
    if subject is None:
        return None, ()
    name, unit, artifact = subject
    for blamed in _blamed(line, name, artifact, generated.get(unit, "")):
        origins = [origin for item in blamed for origin in origins_at(artifact, item.line)]
        if origins:
            return unit, tuple(dict.fromkeys(origins))
    return unit, ()


def _subject(line: str, artifacts: Sequence[Artifact]) -> tuple[str, str, Artifact] | None:
    """Return the name that *line* has for a unit, the unit and its file: of the one that is named first."""
    found = (
        (match.start(), name, unit, artifact)
        for artifact in artifacts
        if (unit := unit_name(artifact.path)) is not None
        for name in (PurePosixPath(artifact.path).name, unit)
        if (match := _word(name).search(line))
    )
    first = min(found, default=None)
    return first[1:] if first is not None else None


def _blamed(line: str, name: str, artifact: Artifact, generated: str) -> Iterator[list[Assignment]]:
    """Yield the assignments of *artifact* that *line* may mean, the surest first."""
    written = lines_of(artifact)
    number = re.search(rf"{re.escape(name)}:(\d+):", line) or _CONTAINS_LINE.search(line)
    if number is not None:
        wanted = int(number[1])
        if PurePosixPath(artifact.path).name == name:
            yield [item for item in written if item.line == wanted]
        else:
            # the generator copies what is systemd's own
            copied = [(item.key, item.value) for item in _assignments(generated) if item.line == wanted]
            yield [item for item in written if (item.key, item.value) in copied]
    rest = line.replace(name, "")
    yield [item for item in written if _word(item.key[1]).search(rest)]
    values = {value for groups in _VALUES.findall(rest) for value in groups if value}
    yield [item for item in written if any(_word(value).search(item.value) for value in values)]
    yield [item for item in written if len(item.value) >= _TELLING and _word(item.value).search(rest)]


def _assignments(text: str) -> tuple[Assignment, ...]:
    try:
        return tuple(assignments(text))
    except UnitSyntaxError:
        return ()


def _word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.@-]){re.escape(text)}(?![\w@-])")
