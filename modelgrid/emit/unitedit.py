"""Changes the text of a unit key by key, and leaves the rest of it, comments too, as it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelgrid.emit.artifact import TracedText
from modelgrid.emit.unitfile import UnitSyntaxError, config_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelgrid.emit.artifact import Artifact


@dataclass(frozen=True, slots=True)
class Entry:
    """One assignment with the comments and empty lines above it.

    *origins* are the parts of the configuration that it comes from.
    """

    key: str
    value: str
    lead: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A section with the comments and empty lines above its heading."""

    name: str
    entries: tuple[Entry, ...] = ()
    lead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EditableUnit:
    """A unit, as its sections in the order of the file; *tail* is what stands below the last assignment."""

    sections: tuple[Section, ...]
    tail: tuple[str, ...] = field(default=())

    def section(self, name: str) -> tuple[Entry, ...]:
        """Return the assignments of the section *name*; none where it is not there."""
        return tuple(entry for section in self.sections if section.name == name for entry in section.entries)

    def value(self, section: str, key: str) -> str | None:
        """Return the last value of *key*."""
        values = [entry.value for entry in self.section(section) if entry.key == key]
        return values[-1] if values else None

    def with_section(self, name: str, entries: Iterable[Entry]) -> EditableUnit:
        """Return it with *entries* in the section *name*, which goes away with its last assignment."""
        kept = tuple(entries)
        sections = (replace(section, entries=kept) if section.name == name else section for section in self.sections)
        return replace(self, sections=tuple(section for section in sections if section.name != name or kept))

    def adding(self, name: str, entries: Sequence[Entry], *, first: bool = False) -> EditableUnit:
        """Return it with *entries* at the end of the section *name*, which is made if it is missing, or in front."""
        if not entries:
            return self
        if not any(section.name == name for section in self.sections):
            return replace(self, sections=(*self.sections, Section(name, tuple(entries), lead=("",))))
        there = self.section(name)
        return self.with_section(name, (*entries, *there) if first else (*there, *entries))


def read_unit(artifact: Artifact) -> EditableUnit:
    """Return the unit *artifact*, which has no continued lines and names no section twice: one of ours.

    Raises:
        UnitSyntaxError: it is no such unit.
    """
    origins: dict[int, tuple[str, ...]] = {}
    for number, origin in artifact.origins:
        origins[number] = (*origins.get(number, ()), origin)
    found: list[tuple[str, tuple[str, ...], list[Entry]]] = []
    lead: list[str] = []
    for number, line in enumerate(artifact.content.removesuffix("\n").split("\n"), start=1):
        key, equals, value = line.partition("=")
        if not line or line[0] in "#;":
            lead.append(line)
            continue
        if line.startswith("[") and line.endswith("]"):
            found.append((line[1:-1], tuple(lead), []))
        elif equals and found and not line.endswith("\\"):
            found[-1][2].append(Entry(key, value, tuple(lead), origins.get(number, ())))
        else:
            raise UnitSyntaxError(number, line)
        lead = []
    sections = (Section(name, tuple(entries), above) for name, above, entries in found)
    return EditableUnit(tuple(sections), tail=tuple(lead))


def write_unit(unit: EditableUnit) -> TracedText:
    """Return the text of *unit*, which knows what its lines come from."""
    lines: list[str] = []
    origins: list[tuple[int, str]] = []
    for section in unit.sections:
        lines += [*section.lead, f"[{section.name}]"]
        for entry in section.entries:
            lines += [*entry.lead, f"{entry.key}={entry.value}"]
            origins += [(len(lines), origin) for origin in entry.origins]
    return TracedText("\n".join([*lines, *unit.tail, ""]), tuple(origins))


def rehash(unit: EditableUnit) -> EditableUnit:
    """Return *unit* with the hash of what it says now, wherever it has one."""
    old = unit.value("X-ModelGrid", "ConfigHash")
    if old is None:
        return unit
    new = config_hash(write_unit(unit))
    for name in {section.name for section in unit.sections}:
        entries = unit.section(name)
        unit = unit.with_section(name, (replace(entry, value=entry.value.replace(old, new)) for entry in entries))
    return unit
