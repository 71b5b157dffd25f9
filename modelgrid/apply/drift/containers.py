"""Drift of containers: made by other definitions, from an image that its name no longer means, or owned by no unit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from modelgrid.apply.drift.values import DriftKind, Finding
from modelgrid.apply.planning.container_options import container_options, run_options
from modelgrid.emit.artifact import QUADLETS
from modelgrid.emit.names import MANAGED_LABEL, unit_name
from modelgrid.emit.unitfile import HASH_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.units import Unit
    from modelgrid.apply.systemd import UnitState

#: How names of our containers begin.
_PREFIX = "modelgrid-"
#: How the keys of our labels begin.
_LABELS = "io.modelgrid."


class PodmanSilentError(Exception):
    """podman does not tell what containers there are; the message says why, in its words."""


def list_containers(host: Host) -> tuple[Mapping[str, Any], ...]:
    """Return the containers with a name or a label of ours, as ``podman ps --format json`` has them.

    Raises:
        PodmanSilentError: podman is missing, or does not answer.
    """
    done = host.processes.run("podman", "ps", "--all", "--format", "json")
    try:
        rows = json.loads(done.stdout or "null") if done.returncode == 0 else None
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise PodmanSilentError(done.stderr.strip().rpartition("\n")[2] or "no answer")
    return tuple(row for row in rows if isinstance(row, dict) and _is_ours(row))


def container_drift(
    host: Host, units: Mapping[str, Unit], states: Mapping[str, UnitState], containers: Iterable[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Yield what differs between the *containers* on the host and those that *units* define."""
    owners = {unit.container: unit for unit in units.values() if unit.container and unit.program == "podman"}
    meant: dict[str, str] = {}
    for row in containers:
        name = _name(row)
        unit = owners.get(name)
        if unit is None or (states[unit.name].active in {"inactive", "failed"} and row.get("State") == "running"):
            why = "no unit" if unit is None else f"{unit.name}, which is down,"
            yield Finding(
                kind=DriftKind.CONTAINER_UNOWNED,
                message=f"{why} runs the container {name}, which is {row.get('State', 'there')}",
                mend=f"podman rm --force {name}",
                unit=unit.name if unit else "",
                model=unit.model if unit else "",
            )
            continue
        yield from _outdated(unit, row)
        reference = _reference(unit, units)
        if reference not in meant:
            meant[reference] = _image_id(host, reference)
        if meant[reference] and meant[reference] != row.get("ImageID"):
            yield Finding(
                kind=DriftKind.IMAGE_MOVED,
                message=(
                    f"{name} runs the image {str(row.get('ImageID'))[:12]}, and {reference} is"
                    f" {meant[reference][:12]} by now"
                ),
                mend=f"systemctl restart {unit.name}, or name the image by digest (modelgrid lock)",
                unit=unit.name,
                model=unit.model,
            )


def options_of(unit: Unit) -> Mapping[str, Sequence[str]]:
    """Return the options of podman-run(1) that *unit* runs its container with; none where it runs no container."""
    if unit.artifact.path.endswith(".container"):
        return container_options(unit.values)
    return run_options(unit.value("Service", "ExecStart")) or {}


def _outdated(unit: Unit, row: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield that the labels of a container are not those of its unit."""
    given = (label.replace("%%", "%").partition("=") for label in options_of(unit).get("--label", ()))
    wanted = {key: value for key, _, value in given if key.startswith(_LABELS)}
    found = row.get("Labels") or {}
    differing = sorted(key for key, value in wanted.items() if found.get(key) != value)
    if differing:
        told = "by older definitions" if differing == [HASH_LABEL] else f"with other labels ({', '.join(differing)})"
        yield Finding(
            kind=DriftKind.CONTAINER_OUTDATED,
            message=f"the container {_name(row)} was made {told}",
            mend=f"systemctl restart {unit.name}",
            unit=unit.name,
            model=unit.model,
        )


def _is_ours(row: Mapping[str, Any]) -> bool:
    return _name(row).startswith(_PREFIX) or MANAGED_LABEL in (row.get("Labels") or {})


def _name(row: Mapping[str, Any]) -> str:
    names = row.get("Names")
    return str(names[0]) if isinstance(names, list) and names else ""


def _reference(unit: Unit, units: Mapping[str, Unit]) -> str:
    """Return the image that *unit* is to run."""
    reference = unit.runs_image
    pulling = units.get(unit_name(f"{QUADLETS}/{reference}") or "")
    return pulling.image if pulling else reference.replace("%%", "%")


def _image_id(host: Host, reference: str) -> str:
    """Return the id of the image that *reference* means now; empty where podman has none by that name."""
    done = host.processes.run("podman", "image", "inspect", "--format", "{{.Id}}", reference)
    return done.stdout.strip().removeprefix("sha256:") if done.returncode == 0 else ""
