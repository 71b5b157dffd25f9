"""Says of each line of a unit where it comes from and what podman is given for it. Pure.

podman's arguments are found by experiment where its generator is at hand: of the quadlet without the line, it makes a
command that lacks exactly what the line stands for. The experiments are other quadlets beside the real one, so one
run is enough. Elsewhere they are those of the table of keys, with the value as it stands in the quadlet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.emit.artifact import QUADLETS
from modelgrid.emit.names import unit_name
from modelgrid.emit.origins import lines_of, origins_at
from modelgrid.emit.podman_keys import PODMAN, Reader
from modelgrid.emit.unitfile import UnitSyntaxError, parse_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.emit.artifact import Artifact
    from modelgrid.emit.unitfile import Assignment

#: Sections that podman's generator reads; it copies the others for systemd.
_OF_PODMAN = frozenset({"Build", "Container", "Image", "Kube", "Network", "Pod", "Volume"})

#: Keys whose words are on podman's command line without an option of their own.
_AS_THEY_ARE = frozenset({"Exec", "GlobalArgs", "Image", "PodmanArgs"})

#: Takes the place of the image, which a quadlet cannot be without.
_OTHER_IMAGE = "localhost/modelgrid-without:0"

_WORD = re.compile(r'(?:"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|\S)+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One line of a unit.

    Attributes:
        line: its number in the file, from 1.
        key: ``Container.Exec``.
        origins: what it comes from: paths of the configuration, or words such as ``engine vllm (built in)``; empty
            where it is a default of ModelGrid.
        podman: podman's arguments as they stand in the generated service; none where systemd reads the line.
    """

    line: int
    key: str
    value: str
    origins: tuple[str, ...] = ()
    podman: tuple[str, ...] | None = None


def experiments(artifact: Artifact) -> Mapping[str, str]:
    """Return the quadlets to run the generator on beside *artifact*, by file name; none for plain units."""
    if not artifact.path.startswith(f"{QUADLETS}/"):
        return {}
    return {
        PurePosixPath(_path_without(artifact, item)).name: _without(artifact, item)
        for item in lines_of(artifact)
        if item.key[0] in _OF_PODMAN
    }


def explain_lines(artifact: Artifact, generated: Mapping[str, str] | None = None) -> tuple[Explained, ...]:
    """Return every line of the unit *artifact*.

    *generated* are the units that podman's generator made of it and of its :func:`experiments`, by their names; none
    where there is no generator.
    """
    whole = _command((generated or {}).get(unit_name(artifact.path) or "", ""))
    return tuple(
        Explained(
            line=item.line,
            key=".".join(item.key),
            value=item.value,
            origins=origins_at(artifact, item.line),
            podman=_arguments(artifact, item, whole, generated or {}) if whole else _by_table(item),
        )
        for item in lines_of(artifact)
    )


def _arguments(
    artifact: Artifact, item: Assignment, whole: tuple[str, ...], generated: Mapping[str, str]
) -> tuple[str, ...] | None:
    if item.key[0] not in _OF_PODMAN:
        return None
    rest = _command(generated.get(unit_name(_path_without(artifact, item)) or "", ""))
    if not rest:
        # what the generator makes nothing without: its value is all that is known
        return tuple(word for word in whole if item.value in word)
    found: list[str] = []
    for tag, start, end, _, _ in SequenceMatcher(a=whole, b=rest, autojunk=False).get_opcodes():
        if tag != "equal":
            found += whole[slice(*_from_option(whole, start, end))]
    return tuple(found)


def _from_option(words: tuple[str, ...], start: int, end: int) -> tuple[int, int]:
    """Move a part to where it begins with an option: of ``--env A --env B``, a diff may find ``A --env`` missing."""
    while 0 < start < end and not words[start].startswith("-") and words[start - 1] == words[end - 1]:
        start, end = start - 1, end - 1
    return start, end


def _by_table(item: Assignment) -> tuple[str, ...] | None:
    section, key = item.key
    entry = PODMAN.get(section, {}).get(key) if section in _OF_PODMAN else None
    if entry is None:
        return None
    set_ = item.value.lower() in {"1", "yes", "true", "on"}
    match entry.reader:
        case Reader.BOOLEAN:
            return (entry.option if set_ else f"{entry.option}=false",)
        case Reader.FLAG:
            return tuple(word for word in (entry.option, entry.prefix) if word) if set_ else ()
        case _ if entry.option:
            return entry.option, f"{entry.prefix}{item.value}"
        case _:
            # words that podman gets as they are, or what has effect in several places
            return tuple(_WORD.findall(item.value)) if key in _AS_THEY_ARE else ()


def _command(text: str) -> tuple[str, ...]:
    """Return the words of the command that starts the service *text*, as they are written."""
    try:
        commands = parse_unit(text).get(("Service", "ExecStart"), ())
    except UnitSyntaxError:
        return ()
    return tuple(_WORD.findall(commands[-1])) if commands else ()


def _path_without(artifact: Artifact, item: Assignment) -> str:
    path = PurePosixPath(artifact.path)
    return str(path.with_name(f"{path.stem}-without-{item.line}{path.suffix}"))


def _without(artifact: Artifact, item: Assignment) -> str:
    lines = artifact.content.split("\n")
    lines[item.line - 1] = f"Image={_OTHER_IMAGE}" if item.key[1] == "Image" else ""
    return "\n".join(lines)
