"""Compares what is wanted (the current generation), what was recorded (its hashes, what was confirmed) and what is.

Readers only: they take no lock and write nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.checks.hostchecks import settled
from modelgrid.apply.drift.containers import PodmanSilentError, container_drift, list_containers
from modelgrid.apply.drift.devices import device_drift, driver_drift
from modelgrid.apply.drift.dropins import drop_in_drift
from modelgrid.apply.drift.files import file_drift, link_drift, unreadable_files
from modelgrid.apply.drift.units import unit_drift
from modelgrid.apply.drift.values import Drift, DriftKind, Finding
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.records import Records
from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.units import Unit
    from modelgrid.apply.systemd import UnitState

__all__ = ["Drift", "DriftKind", "Finding", "find_drift", "refuse_drift"]


def find_drift(host: Host) -> Drift:
    """Return how *host* differs from what was last applied to it; nothing where nothing is applied.

    Without root's rights on a system's host it cannot see containers or private files, and says so.

    Raises:
        HostError: systemd does not answer, or a record is not of this version.
    """
    host = settled(host)
    generations, records = Generations(host.files, host.layout), Records(host.files, host.layout)
    number = generations.current()
    if number is None:
        return Drift()
    tree = generations.read(number)
    units = units_of(tree)
    states = host.systemd.states(units)
    unseen = [f"{path} may not be read, and is not compared" for path in unreadable_files(host, number)]
    found = [
        *_interrupted(records, number),
        *file_drift(host, number, units),
        *link_drift(host, tree, units),
        *drop_in_drift(host, units),
        *unit_drift(host, units, states),
        *(item for item in _containers(host, units, states, unseen) if not _waits(host, records, item)),
        *device_drift(host, units),
        *driver_drift(host, units, records.drivers()),
    ]
    order = {kind: index for index, kind in enumerate(DriftKind)}
    return Drift(
        findings=tuple(sorted(found, key=lambda item: (order[item.kind], item.unit, item.path, item.message))),
        unseen=tuple(unseen),
    )


def refuse_drift(host: Host) -> None:
    """See that an apply undoes nobody's work on *host*.

    Raises:
        HostError: it would; it names each difference.
    """
    if overwritten := find_drift(host).overwritten:
        told = "; ".join(item.message for item in overwritten)
        raise HostError(
            f"the host is not as it was applied, and apply would undo that: {told}",
            hint="take over what you want to keep into modelgrid.yaml, then apply without --no-drift-overwrite",
        )


def _interrupted(records: Records, number: int) -> Iterator[Finding]:
    if records.pending() is not None or records.confirmed() != number:
        yield Finding(
            kind=DriftKind.INTERRUPTED,
            message=f"generation {number} was not seen healthy: a change is under way, or was killed",
            mend="apply finishes it, rollback takes it back",
        )


def _waits(host: Host, records: Records, finding: Finding) -> bool:
    """Say whether it is known that the server goes on by an older definition: its restart was left to the user."""
    if finding.kind is not DriftKind.CONTAINER_OUTDATED:
        return False
    known = records.behind().get(finding.unit)
    return known is not None and host.systemd.invocation(finding.unit) == known.invocation


def _containers(
    host: Host, units: Mapping[str, Unit], states: Mapping[str, UnitState], unseen: list[str]
) -> Iterator[Finding]:
    """Yield the drift of containers; what cannot be seen goes to *unseen*."""
    needed = any(unit.container and unit.program == "podman" for unit in units.values())
    if host.layout.scope is Scope.SYSTEM and host.user != 0:
        unseen += ["containers are not looked at: podman shows those of the system to root alone"] if needed else []
        return
    try:
        rows = list_containers(host)
    except PodmanSilentError as error:
        unseen += [f"containers are not looked at: podman says {error}"] if needed else []
        return
    yield from container_drift(host, units, states, rows)
