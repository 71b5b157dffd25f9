"""Keeps requests answered while servers and the gateway change: stand-ins, draining, and what waits at the gateway.

The gateways are pinned to a manifest between the old and the new one, step by step, until the new one holds. All that
this leaves on the host lies where a reboot empties, and is removed by the end of the change, or by the next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelgrid.apply.events import EventKind
from modelgrid.apply.handover.gateways import Gateways, GatewaySilentError
from modelgrid.apply.handover.liveroutes import Stage, live_manifest, manifest_of
from modelgrid.apply.handover.standin import PREFIX, StandIn, second_gateway, stand_in_for, standins_of
from modelgrid.apply.planning.plan import Action, Handover, Plan, Wave
from modelgrid.apply.planning.units import Role, gateway_listen, subnets_of, units_of
from modelgrid.apply.store.files import make_folder, remove_name, replace_file
from modelgrid.apply.systemd import Verb
from modelgrid.emit.artifact import UNITS
from modelgrid.emit.names import GATEWAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.jobs import Jobs
    from modelgrid.emit.artifact import Artifact
    from modelgrid.manifest import Manifest

#: Seconds that requests may still take where a stand-in answers new ones.
_DRAIN = 600.0
#: The same where new ones wait, who would rather not wait long; and never more than half of what they may.
_HELD_DRAIN = 120.0
#: Seconds after which a connection that was taken has shown its request.
_SETTLE = 1.0

_READABLE = 0o644


class Rollout:
    """The way of one change, as clients see it.

    Arguments:
        before: the tree that is current until the change, *after* the new one.
    """

    def __init__(
        self,
        host: Host,
        jobs: Jobs,
        plan: Plan,
        *,
        before: Sequence[Artifact],
        after: Sequence[Artifact],
    ) -> None:
        self._host = host
        self._jobs = jobs
        self._plan = plan
        self._units = units_of(after)
        self._had = units_of(before)
        self._trees = (before, after)
        self._old: Manifest | None = None
        self._new: Manifest | None = None
        self._gateways = Gateways(host)
        self._serving = [GATEWAY]
        self._stage = Stage()
        self._stand_ins: dict[str, StandIn] = {}

    def begin(self) -> None:
        """Pin the gateways to what serves now, write the stand-ins' files, and drain what stops before the swap."""
        kept = [action for action in self._plan.actions if action.handover is not None]
        if (kept or self._new_models()) and self._gateways.workers():
            self._old, self._new = map(manifest_of, self._trees)
        if self._old is not None and self._new is not None:
            changing = [action.unit for action in kept] + self._new_models()
            self._stage = Stage(changing=frozenset(self._addresses(changing)))
            before = [action.unit for action in kept if action.wave is Wave.BEFORE]
            self._leave(before)
            sweep(self._host, self._jobs)
            self._write_stand_ins()
        else:
            self._gateways.release()
            sweep(self._host, self._jobs)

    def hand_over(self) -> None:
        """Bring the gateway and every server with a stand-in to the new configuration, one after the other."""
        for action in self._plan.wave(Wave.RUN):
            stand_in = self._stand_ins.get(action.unit)
            if stand_in is not None and action.unit == GATEWAY:
                self._renew_gateway(action, stand_in)
        for action in self._plan.wave(Wave.RUN):
            stand_in = self._stand_ins.get(action.unit)
            if stand_in is not None and action.unit != GATEWAY:
                self._renew_server(action, stand_in)

    def batches(self) -> Iterable[Sequence[Action]]:
        """Yield the other actions of the wave RUN, as they are to be queued together."""
        rest = [action for action in self._plan.wave(Wave.RUN) if action.unit not in self._stand_ins]
        for number in sorted({action.batch for action in rest}):
            yield [action for action in rest if action.batch == number]

    def leave(self, actions: Sequence[Action]) -> list[Action]:
        """Have no request at the servers of *actions*, and return what then is to be queued.

        Where a GPU has no room for old and new at once, the old ones are stopped here.
        """
        self._leave([action.unit for action in actions if action.handover is not None])
        first = [action for action in actions if action.stop_first]
        self._jobs.fail_on(self._jobs.queue([(Verb.STOP, action.unit, action.model) for action in first]))
        return [replace(action, verb=Verb.START) if action.stop_first else action for action in actions]

    def come_back(self, actions: Sequence[Action]) -> None:
        """Route to the servers of *actions*, which are ready."""
        addresses = self._addresses([action.unit for action in actions if action.verb is not Verb.STOP])
        self._stage = replace(
            self._stage,
            renewed=self._stage.renewed | addresses,
            away=self._stage.away - addresses,
        )
        self._route()

    def end(self) -> None:
        """Let the gateways route by the new generation, and remove what stood in."""
        self._gateways.release()
        sweep(self._host, self._jobs)

    def _new_models(self) -> list[str]:
        return [
            action.unit
            for action in self._plan.wave(Wave.RUN)
            if action.verb is Verb.START and action.unit not in self._had and self._units[action.unit].models
        ]

    def _write_stand_ins(self) -> None:
        beside = [action.unit for action in self._plan.actions if action.handover is Handover.BESIDE]
        if self._jobs.tolerant:
            return
        taken = {unit.address for unit in (*self._units.values(), *self._had.values())}
        subnets = subnets_of((*self._units.values(), *self._had.values()))
        for name in beside:
            unit = self._units[name]
            if name == GATEWAY:
                if gateway_listen(self._units) != gateway_listen(self._had):
                    continue
                stand_in: StandIn | None = second_gateway(unit)
            else:
                stand_in = stand_in_for(unit, subnets=subnets, taken=taken)
            if stand_in is None:
                continue
            taken.add(stand_in.address)
            folder, _, file = stand_in.artifact.path.rpartition("/")
            place = self._host.layout.passing_units if folder == UNITS else self._host.layout.passing_quadlets
            make_folder(self._host.files, place)
            replace_file(self._host.files, place / file, stand_in.artifact.content.encode(), _READABLE)
            self._stand_ins[name] = stand_in

    def _renew_server(self, action: Action, stand_in: StandIn) -> None:
        subject = f"model {action.model}"
        self._tell(f"{subject}: a stand-in takes over while it restarts", action)
        self._start(stand_in.name, action)
        address = self._units[action.unit].address
        self._stage = replace(self._stage, instead={**self._stage.instead, address: stand_in.address})
        self._route()
        self._drain(self._addresses([action.unit]), subject, _DRAIN)
        self._jobs.fail_on(self._jobs.run([action]))
        self._jobs.check_up([action])
        instead = {key: value for key, value in self._stage.instead.items() if key != address}
        self._stage = replace(self._stage, instead=instead)
        self.come_back([action])
        self._drain([stand_in.address], f"the stand-in of {subject}", _DRAIN)
        self._jobs.fail_on(self._jobs.queue([(Verb.STOP, stand_in.name, action.model)]))

    def _renew_gateway(self, action: Action, stand_in: StandIn) -> None:
        self._tell("a second gateway takes over while the gateway restarts", action)
        both = [GATEWAY, stand_in.name]
        try:
            # only where it is said who serves, a second gateway joins the first on its port
            self._gateways.give(GATEWAY, 0, [GATEWAY])
            self._start(stand_in.name, action)
            self._gateways.await_workers(stand_in.name)
            self._gateways.give(stand_in.name, 1, both)
            self._host.sleep(_SETTLE)
            self._gateways.idle(GATEWAY, seconds=_DRAIN)
            self._jobs.fail_on(self._jobs.queue([(Verb.STOP, GATEWAY, "")]))
            self._gateways.give(stand_in.name, 0, [stand_in.name])
            self._start(GATEWAY, action)
            self._gateways.await_workers(GATEWAY)
            self._gateways.give(GATEWAY, 1, both)
            self._host.sleep(_SETTLE)
            self._gateways.idle(stand_in.name, seconds=_DRAIN)
            self._jobs.fail_on(self._jobs.queue([(Verb.STOP, stand_in.name, "")]))
            self._gateways.give(GATEWAY, 0, [GATEWAY])
        except GatewaySilentError as error:
            self._jobs.fail_on([self._jobs.failure(str(error), "manifest")])

    def _start(self, unit: str, action: Action) -> None:
        failures = self._jobs.queue([(Verb.START, unit, action.model)])
        self._jobs.fail_on([replace(failure, model=action.model) for failure in failures])
        if not self._jobs.tolerant and not self._host.systemd.states([unit])[unit].up:
            self._jobs.fail_on([self._jobs.failure(unit, "down", model=action.model)])

    def _leave(self, units: Iterable[str]) -> None:
        """Send no request to *units* any more, and wait until they have none."""
        addresses = self._addresses(units)
        self._stage = replace(self._stage, away=self._stage.away | addresses)
        self._route()
        if addresses:
            half = self._new.hold_time / 2 if self._new is not None else 0
            # where none wait, there is nobody to be quick for
            self._drain(addresses, "what stops", min(half or _HELD_DRAIN, _HELD_DRAIN))

    def _route(self) -> None:
        if self._old is None or self._new is None:
            return
        try:
            self._gateways.route(live_manifest(self._old, self._new, self._stage), self._serving)
        except GatewaySilentError as error:
            self._jobs.fail_on([self._jobs.failure(str(error), "manifest")])

    def _drain(self, addresses: Iterable[str], subject: str, seconds: float) -> None:
        if self._new is not None and not self._gateways.drain(addresses, self._serving, seconds=seconds):
            message = f"{subject} still has requests after {seconds:g} s: they are cut off"
            self._jobs.tell(EventKind.WARNING, message)

    def _addresses(self, units: Iterable[str]) -> frozenset[str]:
        """Return where *units* answer, by the tree before and by the new one."""
        found = (trees.get(name) for name in units for trees in (self._had, self._units))
        return frozenset(
            unit.address for unit in found if unit is not None and unit.role is Role.SERVICE and unit.address
        )

    def _tell(self, message: str, action: Action) -> None:
        self._jobs.tell(EventKind.STEP, message, unit=action.unit, model=action.model)


def sweep(host: Host, jobs: Jobs) -> None:
    """Stop and remove every stand-in on *host*, of whatever change.

    Raises:
        HostError: systemd does not answer.
        OSError: a file cannot be removed.
    """
    places = (host.layout.passing_quadlets, host.layout.passing_units)
    found = [(place, name) for place in places for name in host.files.listdir(place)]
    ours = [(place, name) for place, name in found if name.startswith((PREFIX, f".{PREFIX}"))]
    if not ours:
        return
    names = standins_of(name for _, name in ours)
    states = host.systemd.states(names)
    jobs.queue([(Verb.STOP, name, "") for name in names if states[name].active not in {"inactive", "failed"}])
    for place, name in ours:
        remove_name(host.files, place / name)
    host.systemd.daemon_reload()
    for name in names:
        host.systemd.reset_failed(name)
