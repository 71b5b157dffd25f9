"""Whether a host can take a tree: everything that its units need and that is not there, told at once. Reads only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.checks.hostchecks import find_conflicts, has_image
from modelgrid.apply.checks.listeners import holders, listeners
from modelgrid.apply.checks.needs import listens_of, needs_of
from modelgrid.apply.checks.problems import Findings, Problem, Refusal
from modelgrid.apply.checks.secrets import secret_findings
from modelgrid.apply.checks.space import space_findings
from modelgrid.apply.handover.standin import is_standin
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.systemd import Verb
from modelgrid.host.cdi import FOLDERS, device_names
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from modelgrid.apply.checks.needs import Needs
    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.plan import Plan
    from modelgrid.apply.planning.units import Unit
    from modelgrid.emit.artifact import Artifact
    from modelgrid.ir import Endpoint

#: Names of CDI that a message lists at most.
_MOST_NAMES = 10


def refuse(findings: Findings) -> tuple[str, ...]:
    """Return the notes of *findings*.

    Raises:
        Refusal: it has problems.
    """
    if findings.problems:
        raise Refusal(findings.problems)
    return findings.notes


def conflicts(host: Host, tree: Sequence[Artifact], *, adopts: Iterable[Path] = ()) -> Findings:
    """Find the files of others in the places of *tree*, but for those that it *adopts*."""
    found = find_conflicts(host, tree)
    adoptable = sorted(set(found.adoptable) - set(adopts))
    problems = [
        Problem(message=f"in the way, and not made by ModelGrid: {', '.join(map(str, paths))}", hint=hint)
        for paths, hint in (
            (adoptable, "move it away or remove it, then apply again; or take it over with --adopt, which keeps it"),
            (found.fixed, "move it away or remove it, then apply again"),
        )
        if paths
    ]
    return Findings(problems=tuple(problems))


def shortcomings(
    host: Host,
    tree: Sequence[Artifact],
    trees: Iterable[Sequence[Artifact]],
    plan: Plan,
    *,
    unpacked: Path | None = None,
) -> Findings:
    """Find what the units of *tree* lack on *host* that *plan* starts, or changes for a later start.

    What runs and is left alone is not asked about: it has what it needs. *trees* are those that units run by now.
    Weights that are missing in the folder *unpacked* are unpacked there before anything else is done.
    """
    changed = {item.path for item in plan.files}
    started = {action.unit for action in plan.actions if action.verb in {Verb.START, Verb.RESTART}}
    units = units_of(tree)
    concerned = [unit for name, unit in units.items() if name in started or unit.artifact.path in changed]
    if not concerned:
        return Findings()
    needs = {unit.name: needs_of(unit) for unit in concerned}
    problems = (*_ports(host, units, trees, needs), *_devices(host, units, needs))
    if not may_look(host):
        note = "without root's rights it is not known whether the images, secrets and files are there"
        return Findings(problems=problems, notes=(note,))
    problems += (*_mounts(host, units, needs, unpacked), *_images(host, units, concerned))
    return Findings(problems=problems) + secret_findings(host, concerned) + space_findings(host, plan.images)


def may_look(host: Host) -> bool:
    """Say whether this process sees the files and podman of *host* as the units will: a plan may be made by anyone."""
    return host.layout.scope is Scope.USER or host.user == 0


def _ports(
    host: Host, units: Mapping[str, Unit], trees: Iterable[Sequence[Artifact]], needs: Mapping[str, Needs]
) -> Iterator[Problem]:
    """Yield the addresses that a program has which is none of ours."""
    wanted = [(endpoint, name) for name, need in needs.items() for endpoint in need.listens]
    if not wanted:
        return
    running = [unit for tree in trees for unit in units_of(tree).values()]
    states = host.systemd.states({unit.name for unit in running})
    # what is up and listens there will let go of it, or keeps it
    kept = {endpoint for unit in running if states[unit.name].up for endpoint in listens_of(unit)}
    wanted = [(endpoint, name) for endpoint, name in wanted if endpoint not in kept]
    heard = listeners(host.files) if wanted else ()
    taken = [(endpoint, name, item) for endpoint, name in wanted for item in heard if item.takes(endpoint)]
    if not taken:
        return
    found = holders(host.files, {listener.inode for _, _, listener in taken})
    names = units.keys() | {unit.name for unit in running}

    def is_ours(group: str) -> bool:
        # a change that was killed leaves those that stood in, and the next one ends them
        return group in names or is_standin(group)

    told: set[tuple[Endpoint, str]] = set()
    for endpoint, name, listener in taken:
        holder = found.get(listener.inode)
        who = str(holder) if holder is not None else "another program"
        if (endpoint, who) in told or (holder is not None and any(map(is_ours, holder.groups))):
            continue
        told.add((endpoint, who))
        yield Problem(
            message=f"{endpoint}, where {_subject(units[name])} is to listen, is in use by {who}",
            hint=f"stop that, or choose another port; `ss -Hltnp sport = :{endpoint.port}` shows what listens there",
        )


def _devices(host: Host, units: Mapping[str, Unit], needs: Mapping[str, Needs]) -> Iterator[Problem]:
    wanted = {device: name for name, need in needs.items() for device in need.devices}
    if not wanted:
        return
    known = sorted(device_names(host.files.real(folder) for folder in FOLDERS))
    missing: dict[str, str] = {device: name for device, name in wanted.items() if device not in known}
    if not missing:
        return
    places = " and ".join(str(folder) for folder in FOLDERS)
    shown = ", ".join(known[:_MOST_NAMES]) + (f" and {len(known) - _MOST_NAMES} more" if known[_MOST_NAMES:] else "")
    listed = f"those in {places} name: {shown}" if known else f"there is none in {places}"
    devices = ", ".join(f"{device} ({_subject(units[name])})" for device, name in sorted(missing.items()))
    yield Problem(
        message=f"no CDI specification names {devices}; {listed}",
        hint=" and ".join(sorted({_cdi_hint(device) for device in missing})),
    )


def _cdi_hint(device: str) -> str:
    vendor = device.partition("/")[0]
    if vendor == "nvidia.com":
        return "write one with: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
    if vendor == "amd.com":
        return "write one with: amd-ctk cdi generate --output=/etc/cdi/amd.json"
    return f"write the CDI specification of {vendor} anew"


def _mounts(
    host: Host, units: Mapping[str, Unit], needs: Mapping[str, Needs], unpacked: Path | None
) -> Iterator[Problem]:
    wanted: dict[str, str] = {}
    for name, need in needs.items():
        for path in need.mounts:
            wanted.setdefault(path, name)
    for path, name in sorted(wanted.items()):
        comes = unpacked is not None and Path(path).is_relative_to(unpacked)
        if not comes and host.files.identity(Path(path)) is None:
            yield Problem(
                message=f"{path}, which {_subject(units[name])} is to see, is not on this host",
                hint="put it there, or correct the path",
            )


def _images(host: Host, units: Mapping[str, Unit], concerned: Iterable[Unit]) -> Iterator[Problem]:
    """Yield the images that no unit pulls and that are not there."""
    pulled = {unit.image for unit in units.values()}
    wanted = {(unit.program, unit.runs_image) for unit in concerned if unit.runs_image not in pulled}
    for program, image in sorted(wanted):
        # an empty one is of a unit without a container
        if image and not image.endswith((".image", ".build")) and not has_image(host, program, image):
            yield Problem(
                message=f"{program} has no image {image}, and nobody can pull a local one",
                hint=f"build or load it first; `{program} images` lists what is there",
            )


def _subject(unit: Unit) -> str:
    return f"model {unit.model}" if unit.model else unit.name
