"""Drift of files: those of the current generation by their hashes, and the links that lead to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.drift.values import DriftKind, Finding
from modelgrid.apply.store.generations import Fault, Generations
from modelgrid.apply.store.links import MASK, links_of
from modelgrid.emit.names import TARGET, unit_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.units import Unit
    from modelgrid.emit.artifact import Artifact

_FAULTS = {
    Fault.ALTERED: (DriftKind.FILE_EDITED, "was edited"),
    Fault.MISSING: (DriftKind.FILE_MISSING, "is missing"),
    Fault.UNKNOWN: (DriftKind.FILE_ADDED, "is not of this generation"),
}
_IN_THE_WAY = "move it away and apply, or apply --adopt"
_NEW_GENERATION = "put what it should say into modelgrid.yaml; apply writes the files anew"


def file_drift(host: Host, number: int, units: Mapping[str, Unit]) -> Iterator[Finding]:
    """Yield what differs in the folder of generation *number* from what was recorded when it was written."""
    folder = host.layout.generation(number)
    for path, fault in Generations(host.files, host.layout).faults(number).items():
        if fault not in _FAULTS:
            continue
        kind, said = _FAULTS[fault]
        mend = f"remove {folder / path}" if kind is DriftKind.FILE_ADDED else _NEW_GENERATION
        unit = units.get(_unit_of(path))
        yield Finding(
            kind=kind,
            message=f"{folder / path} {said}",
            mend=mend,
            path=str(folder / path),
            unit=unit.name if unit else "",
            model=unit.model if unit else "",
        )


def unreadable_files(host: Host, number: int) -> tuple[str, ...]:
    """Return the paths in generation *number* that this process may not read, and so cannot compare."""
    faults = Generations(host.files, host.layout).faults(number)
    return tuple(path for path, fault in faults.items() if fault is Fault.UNREADABLE)


def link_drift(host: Host, tree: Sequence[Artifact], units: Mapping[str, Unit]) -> Iterator[Finding]:
    """Yield the links of ours that are gone or lead elsewhere, and files that take the place of a unit."""
    files, layout = host.files, host.layout
    links = links_of(tree, layout)
    for path, target in sorted(links.items()):
        unit = units.get(path.name)
        name, model = (unit.name, unit.model) if unit else ("", "")
        found = files.readlink(path)
        if found in {target, MASK}:
            # systemd tells of masks, also of those that are elsewhere
            continue
        if files.kind(path) is None:
            kind, message, mend = DriftKind.LINK_MISSING, f"the link {path} is gone", "apply makes it again"
        elif path == layout.unit_link(path.name) and not (found is not None and layout.owns(found)):
            kind = DriftKind.UNIT_REPLACED
            message, mend = f"{path} is not ours and takes the place of our {path.name}", _IN_THE_WAY
        else:
            kind = DriftKind.LINK_ELSEWHERE
            message = f"{path} leads to {found} instead of {target}" if found else f"{path} is no link to {target}"
            mend = "apply makes it anew" if found is not None and layout.owns(found) else _IN_THE_WAY
        yield Finding(kind=kind, message=message, mend=mend, path=str(path), unit=name, model=model)
    for unit in units.values():
        path = layout.unit_link(unit.name)
        if not unit.plain and files.kind(path) is not None and files.readlink(path) != MASK:
            yield Finding(
                kind=DriftKind.UNIT_REPLACED,
                message=f"{path} is not ours and takes the place of what our {unit.artifact.path} yields",
                mend=_IN_THE_WAY,
                path=str(path),
                unit=unit.name,
                model=unit.model,
            )
    if files.readlink(layout.wants_link) != str(layout.unit_target(TARGET)):
        yield Finding(
            kind=DriftKind.DISABLED,
            message="the grid does not start at boot",
            mend="modelgrid service enable",
            path=str(layout.wants_link),
            unit=TARGET,
        )


def _unit_of(path: str) -> str:
    return unit_name(path) or ""
