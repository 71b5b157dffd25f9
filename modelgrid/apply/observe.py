"""What is on the host now: the readers. They take no lock and write nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modelgrid.apply.checks.hostchecks import check_host, managers_of, settled
from modelgrid.apply.checks.linger import linger_notes
from modelgrid.apply.checks.secrets import rotated, secret_uses
from modelgrid.apply.checks.space import seen
from modelgrid.apply.checks.treechecks import conflicts, may_look, refuse, shortcomings
from modelgrid.apply.drift.dropins import drop_in_notes
from modelgrid.apply.handover.decide import Surroundings, with_handovers
from modelgrid.apply.handover.liveroutes import manifest_of
from modelgrid.apply.handover.memory import has_memory_for_another
from modelgrid.apply.planning.planner import make_plan
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.store.adoption import NO_ADOPTION, Adoption, to_adopt, with_adoption
from modelgrid.apply.store.generations import Generation, Generations
from modelgrid.apply.store.links import links_of, missing_links
from modelgrid.apply.store.records import Behind, Probation, Records
from modelgrid.apply.systemd import UNKNOWN, Verb
from modelgrid.emit.names import GATEWAY
from modelgrid.errors import HostError
from modelgrid.placement_record import PLACEMENT, PlacementRecordError, load_placement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from modelgrid.apply.checks.problems import Findings
    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.plan import Plan
    from modelgrid.apply.systemd import UnitState
    from modelgrid.emit.artifact import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """A unit of the current generation. *since* is when its state last changed, in seconds of the epoch."""

    unit: str
    model: str
    role: str
    wanted: bool
    state: UnitState
    since: float | None

    @property
    def amiss(self) -> bool:
        """Whether it failed, or is down though it is wanted; not where the administrator masked it."""
        return not self.state.masked and (self.state.failing or (self.wanted and self.state.down))


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the host runs.

    Attributes:
        generation: the current one; none where nothing is applied.
        confirmed: the one that was last seen healthy.
        interrupted: whether a change was killed, or is under way right now.
        probation: the change that is taken back unless it is confirmed; none where there is none.
        boots: whether everything starts at boot.
        units: sorted by name.
    """

    generation: int | None
    confirmed: int | None
    interrupted: bool
    boots: bool
    units: tuple[UnitStatus, ...]
    probation: Probation | None = None

    @property
    def amiss(self) -> bool:
        """Whether a unit failed, or is down though it is wanted."""
        return any(item.amiss for item in self.units)

    def to_dict(self) -> dict[str, Any]:
        """Return the status as values that JSON has."""
        return {
            "generation": self.generation,
            "confirmed": self.confirmed,
            "interrupted": self.interrupted,
            "probation": None
            if self.probation is None
            else {"back_to": self.probation.back_to, "until": self.probation.until},
            "starts_at_boot": self.boots,
            "units": [
                {
                    "unit": item.unit,
                    "model": item.model or None,
                    "role": item.role,
                    "wanted": item.wanted,
                    "load": item.state.load,
                    "active": item.state.active,
                    "sub": item.state.sub,
                    "since": item.since,
                }
                for item in self.units
            ],
        }


def plan(desired: Sequence[Artifact], host: Host, *, adopt: bool = False, unpacked: Path | None = None) -> Plan:
    """Return what ``apply`` would do to *host* now, and why it would refuse to.

    Needs no rights; keys that may not be read are compared by hash. With *adopt*, what is in the way is taken over.
    *unpacked* is the folder that the caller of apply unpacks weights to before.

    Raises:
        HostError: it cannot be found out: the host is none for apply, or systemd does not answer.
    """
    check_host(host, managers=managers_of(desired), writing=False)
    host = settled(host)
    found, findings = _examine(host, desired, adopt=adopt, unpacked=unpacked)
    notes = (*found.notes, *findings.notes, *linger_notes(host))
    found = replace(found, problems=findings.problems, notes=notes)
    if Records(host.files, host.layout).pending() is None:
        return found
    note = "a change is under way, or was interrupted: the next apply goes on from what it left"
    return replace(found, notes=(*found.notes, note))


def check_tree(host: Host, tree: Sequence[Artifact], *, adopt: bool = False) -> tuple[str, ...]:
    """Check that *tree* has its place on *host*, and that its units have what they need. Returns what to warn of.

    With *adopt*, what is in the way is taken over.

    Raises:
        Refusal: files of others are in the way, or something is missing or in use; each is named.
    """
    return refuse(_examine(host, tree, adopt=adopt)[1])


def _examine(
    host: Host, tree: Sequence[Artifact], *, adopt: bool, unpacked: Path | None = None
) -> tuple[Plan, Findings]:
    """Return the plan to *tree*, and everything that is wrong about it."""
    adoption = to_adopt(host, tree, adopt=adopt)
    findings = conflicts(host, tree, adopts=adoption.places)
    try:
        plan = plan_now(tree, host, adoption=adoption)
    except (HostError, OSError):
        # what is in the place of our own folders cannot be read as ours
        refuse(findings)
        raise
    trees = (current_tree(host) or (), *suspected_trees(host))
    if may_look(host):
        plan = replace(plan, images=seen(host, plan.images))
    return plan, findings + shortcomings(host, tree, trees, plan, unpacked=unpacked)


def plan_now(desired: Sequence[Artifact], host: Host, *, adoption: Adoption = NO_ADOPTION) -> Plan:
    """Return the plan from the current generation to *desired*, by what the host's units do now."""
    current = current_tree(host, known=desired)
    suspects = (*suspected_trees(host), *_older_definitions(host))
    trees = (desired, current or (), *suspects)
    states = host.systemd.states({*adoption.units, *(name for tree in trees for name in units_of(tree))})
    wanted = links_of(desired, host.layout).keys()
    lost = missing_links(host.files, links_of(current or (), host.layout))
    secrets = secret_uses(host, units_of(desired), look=may_look(host))
    plan = make_plan(
        desired,
        current,
        states,
        missing_links=[str(path) for path in lost if path in wanted],
        suspects=suspects,
        rotated=rotated(host, secrets, units_of(desired)),
    )
    plan = with_adoption(plan, adoption, units_of(desired), states)
    plan = replace(plan, secrets=secrets, notes=(*plan.notes, *drop_in_notes(host, units_of(desired))))
    if not any(action.verb in {Verb.RESTART, Verb.STOP} for action in plan.actions):
        return plan
    return with_handovers(
        plan,
        Surroundings(
            wanted=units_of(desired),
            had={name: unit for tree in (*suspects, current or ()) for name, unit in units_of(tree).items()},
            states=states,
            manifest=manifest_of(desired),
            gateway=states.get(GATEWAY, UNKNOWN).up,
            room=_room(desired),
            fits_beside=lambda unit: has_memory_for_another(host, unit.name),
        ),
    )


def _room(tree: Sequence[Artifact]) -> Mapping[str, int]:
    """Return the bytes that servers may take of each GPU, by UUID, as far as *tree* says."""
    text = next((item.content for item in tree if item.path == PLACEMENT), None)
    try:
        gpus = load_placement(text).gpus if text is not None else ()
    except PlacementRecordError:
        gpus = ()
    return {gpu.uuid: gpu.memory - gpu.reserve for gpu in gpus}


def behind_now(host: Host) -> Mapping[str, Behind]:
    """Return the servers that still go on by an older definition: those that did not start again since."""
    recorded = Records(host.files, host.layout).behind()
    return {unit: item for unit, item in recorded.items() if host.systemd.invocation(unit) == item.invocation}


def _older_definitions(host: Host) -> tuple[tuple[Artifact, ...], ...]:
    """Return what those run by, as a tree of its own for each."""
    generations = Generations(host.files, host.layout)
    there = generations.numbers()
    found = (
        units_of(generations.read(item.generation)).get(unit)
        for unit, item in behind_now(host).items()
        if item.generation in there
    )
    return tuple((unit.artifact,) for unit in found if unit is not None)


def suspected_trees(host: Host) -> tuple[tuple[Artifact, ...], ...]:
    """Return the trees besides the current one that units may still run by, where a change was interrupted."""
    pending = Records(host.files, host.layout).pending()
    if pending is None:
        return ()
    generations = Generations(host.files, host.layout)
    current = generations.current()
    found = {pending.source, *pending.suspects(current)} - {None, current}
    return tuple(generations.read(number) for number in generations.numbers() if number in found)


def current_tree(host: Host, *, known: Sequence[Artifact] = ()) -> tuple[Artifact, ...] | None:
    """Return the artifacts of the current generation as they are on the disk; none where nothing is applied."""
    generations = Generations(host.files, host.layout)
    number = generations.current()
    return None if number is None else generations.read(number, known=known)


def current_generation(host: Host) -> int | None:
    """Return the number of the current generation; none where nothing is applied, or what is there is not ours."""
    try:
        return Generations(host.files, host.layout).current()
    except (HostError, OSError):
        return None


def list_generations(host: Host) -> tuple[Generation, ...]:
    """Return the generations on *host*, in order of number."""
    return Generations(host.files, host.layout).list()


def status(host: Host) -> Status:
    """Return what *host* runs.

    Raises:
        HostError: systemd does not answer.
    """
    records = Records(host.files, host.layout)
    generation = Generations(host.files, host.layout).current()
    units = units_of(current_tree(host) or ())
    states: Mapping[str, UnitState] = host.systemd.states(units)
    return Status(
        generation=generation,
        confirmed=records.confirmed(),
        interrupted=records.pending() is not None,
        probation=records.probation(),
        boots=host.files.readlink(host.layout.wants_link) is not None,
        units=tuple(
            UnitStatus(
                unit=name,
                model=unit.model,
                role=unit.role.value,
                wanted=unit.wanted,
                state=states[name],
                since=host.systemd.since(name),
            )
            for name, unit in units.items()
        ),
    )
