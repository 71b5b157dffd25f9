"""Reads units and quadlets back, to compare what two of them mean.

The form is systemd.syntax(7)'s: sections, ``Key=value`` lines, comments, and lines that a backslash continues.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Section and key.
Key: TypeAlias = tuple[str, str]
#: Equal for two units exactly when nothing differs that a restart would bring to effect.
Meaning: TypeAlias = frozenset[tuple[Key, tuple[str, ...]]]

#: The label that carries a unit's own hash, and so cannot be under it.
HASH_LABEL = "io.modelgrid.config-hash"

#: Keys that say something to people only.
_FOR_PEOPLE = frozenset({"Description", "Documentation"})


class UnitSyntaxError(ValueError):
    """The text is no unit: *number* is the line that is neither a section, an assignment nor a comment."""

    def __init__(self, number: int, line: str) -> None:
        super().__init__(f"line {number} is not part of a unit: {line!r}")
        self.number = number


class Assignment(NamedTuple):
    """One ``Key=value`` of a unit; *line* is the one that it begins on, from 1."""

    line: int
    key: Key
    value: str


def parse_unit(text: str) -> Mapping[Key, tuple[str, ...]]:
    """Return the values of each key, in the order of the file.

    Raises:
        UnitSyntaxError: the text is no unit.
    """
    values: dict[Key, list[str]] = {}
    for _, key, value in assignments(text):
        if key in values:
            values[key].append(value)
        else:
            values[key] = [value]
    return {key: tuple(found) for key, found in values.items()}


def assignments(text: str) -> Iterator[Assignment]:
    """Yield every assignment of a unit.

    Values are as they are written, without the white space around them and with continued lines joined by a space,
    as systemd joins them. An assignment of nothing, which clears a list, is a value too.

    Raises:
        UnitSyntaxError: the text is no unit.
    """
    section = ""
    continued = ""
    first = 0
    # only line feeds end lines, splitlines() would also split at U+2028; the last line may be continued by nothing
    for number, raw in enumerate([*text.split("\n"), ""], start=1):
        line = raw.strip(" \t\r")
        if not line or line[0] in "#;":
            # a comment between the parts of a line does not end it, an empty line does
            if line or not continued:
                continue
        elif line.endswith("\\"):
            first = first if continued else number
            continued += f"{line[:-1]} "
            continue
        first = first if continued else number
        line, continued = (continued + line).strip(" \t\r"), ""
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not equals or not section:
            raise UnitSyntaxError(number, line)
        yield Assignment(first, (section, key.rstrip(" \t")), value.lstrip(" \t"))


def meaning(text: str) -> Meaning:
    """Return what the unit *text* asks of systemd and podman.

    Comments, the order of keys, descriptions, ``[Install]`` (which acts when the unit is enabled), what systemd
    ignores (``X-``) and the hash of the unit itself are left out. A text that is no unit means itself, so that it
    differs from every other.
    """
    try:
        unit = parse_unit(text)
    except UnitSyntaxError:
        return frozenset({(("", ""), (text,))})
    return frozenset(
        (key, kept)
        for key, values in unit.items()
        if key[0] != "Install" and not key[0].startswith("X-") and not key[1].startswith("X-")
        if key[1] not in _FOR_PEOPLE
        if (kept := tuple(value for value in values if not value.startswith(f"{HASH_LABEL}=")))
    )


def config_hash(text: str) -> str:
    """Return the hash of what *text* means, 64 hex digits: equal for texts with equal meanings."""
    return hashlib.sha256(json.dumps(sorted(meaning(text))).encode()).hexdigest()
