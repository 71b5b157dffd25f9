"""What a plan was made for: the state of a host, in words that can be kept and compared.

What tells a host's applied states apart is its lineage, a random word that the first change which is confirmed writes:
a plan that was made before anything was applied has none, and is stale as soon as something was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelgrid.apply.observe import current_tree
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.records import Records
from modelgrid.emit.artifact import SUMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.store.files import FileSystem
    from modelgrid.apply.systemd import UnitState
    from modelgrid.emit.artifact import Artifact

_MACHINE = Path("/etc/machine-id")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a plan was made for. Texts are empty where there is no such thing.

    Attributes:
        machine: of machine-id(5).
        boot: the kernel's identifier of this boot.
        lineage: of the host, see above; empty before the first change was confirmed.
        generation: the current one, as text.
        content: the SHA-256 of its list of checksums.
        interrupted: the SHA-256 of the record of a change that is under way or was killed.
        units: load and active state of every unit that the plan looked at.
        facts: what compiling knew of the host, by name: versions, GPUs.
        files: SHA-256 of the files that it was compiled from, by absolute path; empty for one that is not there.
    """

    machine: str
    boot: str
    lineage: str
    generation: str
    content: str
    interrupted: str
    units: Mapping[str, str]
    facts: Mapping[str, str]
    files: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return {
            "machine": self.machine,
            "boot": self.boot,
            "lineage": self.lineage,
            "generation": self.generation,
            "content": self.content,
            "interrupted": self.interrupted,
            "units": dict(self.units),
            "facts": dict(self.facts),
            "files": dict(self.files),
        }


def read_basis(host: Host, desired: Sequence[Artifact], *, facts: Mapping[str, str], files: Mapping[str, str]) -> Basis:
    """Return what a plan to *desired* is based on now, made with *facts* of the host from *files*."""
    generation = Generations(host.files, host.layout).current()
    states = host.systemd.states({*units_of(desired), *units_of(current_tree(host, known=desired) or ())})
    folder = host.layout.generation(generation) if generation is not None else None
    return Basis(
        machine=_text(host.files, _MACHINE),
        boot=_text(host.files, _BOOT),
        lineage=Records(host.files, host.layout).lineage() or "",
        generation=str(generation or ""),
        content=_digest(host.files, folder / SUMS) if folder is not None else "",
        interrupted=_digest(host.files, host.layout.pending),
        units={name: _state(states[name]) for name in sorted(states)},
        facts=dict(sorted(facts.items())),
        files=dict(sorted(files.items())),
    )


def moved(before: Basis, now: Basis) -> tuple[str, ...]:
    """Return what is no longer as it was *before*, a clause each."""
    if before.machine != now.machine:
        # then nothing else can be compared
        return ("it was made for another machine",)
    booted = ("the machine was booted since",) if before.boot != now.boot else ()
    begun = ("a change was begun or ended since",) if before.interrupted != now.interrupted else ()
    return (*booted, *_applied(before, now), *begun, *_units(before, now), *_facts(before, now), *_files(before, now))


def _applied(before: Basis, now: Basis) -> Iterator[str]:
    if before.lineage != now.lineage:
        if not now.lineage:
            yield "everything was removed since"
        else:
            yield "everything was removed and applied anew since" if before.lineage else "something was applied since"
    elif before.generation != now.generation:
        yield f"generation {before.generation or 'none'} was current, and {now.generation or 'none'} is"
    elif before.content != now.content:
        yield f"generation {now.generation} is another than it was"


def _units(before: Basis, now: Basis) -> Iterator[str]:
    for unit in sorted(before.units.keys() | now.units.keys()):
        old, new = before.units.get(unit, "unknown"), now.units.get(unit, "unknown")
        if old != new:
            yield f"{unit} was {old}, and is {new}"


def _facts(before: Basis, now: Basis) -> Iterator[str]:
    for name in sorted(before.facts.keys() | now.facts.keys()):
        old, new = before.facts.get(name) or "none", now.facts.get(name) or "none"
        if old != new:
            yield f"{name} was {old}, and is {new}"


def _files(before: Basis, now: Basis) -> Iterator[str]:
    for path, old in before.files.items():
        new = now.files.get(path, "")
        if old != new:
            yield f"{path} {'is gone' if not new else 'has changed' if old else 'is new'}"


def _state(state: UnitState) -> str:
    return f"{state.load} and {state.active}{' again and again' if state.sub.startswith('auto-restart') else ''}"


def _text(files: FileSystem, path: Path) -> str:
    try:
        return files.read(path).decode(errors="replace").strip()
    except OSError:
        return ""


def _digest(files: FileSystem, path: Path) -> str:
    try:
        return hashlib.sha256(files.read(path)).hexdigest()
    except OSError:
        return ""
