"""Decides how servers that a plan touches keep their requests, and in which order GPUs have room for it. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelgrid.apply.handover.liveroutes import address_of
from modelgrid.apply.planning.plan import Handover, Wave
from modelgrid.apply.planning.units import Role
from modelgrid.apply.systemd import UNKNOWN, Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from modelgrid.apply.planning.plan import Action, Plan
    from modelgrid.apply.planning.units import Unit
    from modelgrid.apply.systemd import UnitState
    from modelgrid.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a plan is carried out in.

    Attributes:
        wanted: units of the new tree, by name.
        had: units that may run now.
        states: of all of them.
        manifest: the new one; none where it cannot be read.
        gateway: whether a gateway runs that can be told what to do.
        room: bytes of each GPU that servers may take, by UUID; one that is missing has room for what is to run.
        fits_beside: says of a server without a GPU whether the host has the memory for a second one like it.
    """

    wanted: Mapping[str, Unit]
    had: Mapping[str, Unit]
    states: Mapping[str, UnitState]
    manifest: Manifest | None
    gateway: bool
    room: Mapping[str, int] = field(default_factory=dict)
    fits_beside: Callable[[Unit], bool] = lambda _unit: False


def with_handovers(plan: Plan, around: Surroundings) -> Plan:
    """Return *plan* with each action saying how requests are kept, in which batch, and whether it stops first."""
    decider = _Decider(plan, around)
    return replace(plan, actions=tuple(map(decider.decide, plan.actions)))


class _Decider:
    """Decides about each action in turn. Strictly private: one is made per plan."""

    def __init__(self, plan: Plan, around: Surroundings) -> None:
        self._around = around
        self._restarted = {
            action.unit: around.wanted[action.unit]
            for action in plan.actions
            if action.verb is Verb.RESTART and action.wave is Wave.RUN and action.unit in around.wanted
        }
        stopped = {item.unit for item in plan.actions if item.wave is Wave.BEFORE and item.verb is Verb.STOP}
        self._tight = _tight_gpus(around, self._restarted.keys(), stopped)
        self._others = self._replicas()

    def decide(self, action: Action) -> Action:
        unit = self._around.wanted.get(action.unit) or self._around.had.get(action.unit)
        if unit is None or action.wave in {Wave.PULL, Wave.AFTER}:
            return action
        asked = self._around.gateway and self._around.states.get(unit.name, UNKNOWN).up
        restart = action.verb is Verb.RESTART
        if unit.role is Role.GATEWAY:
            return replace(action, handover=Handover.BESIDE if asked and restart else None)
        tight = restart and bool(self._tight & unit.claims.keys())
        action = replace(action, stop_first=tight)
        if not (asked and unit.models and unit.address and action.verb in {Verb.RESTART, Verb.STOP}):
            return action
        if restart and not tight and unit.name in self._others:
            return replace(action, handover=Handover.HOLD, batch=self._others[unit.name])
        beside = restart and unit.name not in self._others and self._has_room_beside(unit)
        return replace(action, handover=Handover.BESIDE if beside else Handover.HOLD)

    def _has_room_beside(self, unit: Unit) -> bool:
        """Say whether a second server like the new *unit* fits beside all that runs then."""
        around = self._around
        before = around.had.get(unit.name, unit)
        if unit.words("Unit", "Conflicts") - {"shutdown.target"} or not unit.wanted or before.address != unit.address:
            return False
        if not unit.claims:
            return around.fits_beside(unit)
        for gpu, claim in unit.claims.items():
            others = sum(
                max(_claim(around.had.get(name), gpu), _claim(around.wanted.get(name), gpu))
                for name in around.had.keys() | around.wanted.keys()
                if name != unit.name and self._runs(name)
            )
            own = max(_claim(before, gpu), claim)
            # one whose need is not known may need any amount
            if not claim or others + own + claim > around.room.get(gpu, 0):
                return False
        return True

    def _runs(self, name: str) -> bool:
        return not self._around.states.get(name, UNKNOWN).down

    def _replicas(self) -> Mapping[str, int]:
        """Return the batch of each server that is restarted and whose models all have another server meanwhile."""
        manifest = self._around.manifest
        if manifest is None:
            return {}
        by_address = {unit.address: name for name, unit in self._restarted.items() if unit.address}
        routes = [[address_of(upstream) for upstream in route.upstreams] for route in manifest.routes]
        alone = Counter(by_address[route[0]] for route in routes if len(route) == 1 and route[0] in by_address)
        batches: dict[str, int] = {}
        for route in routes:
            restarted = [by_address[address] for address in route if address in by_address]
            if len(route) == 1:
                continue
            all_of_them = len(restarted) == len(route)
            for place, name in enumerate(sorted(restarted)):
                # the first goes alone while the others serve, then they while it does
                batch = 0 if not all_of_them or place == 0 else 1
                batches[name] = max(batches.get(name, 0), batch)
        return {name: batch for name, batch in batches.items() if name not in alone}


def _tight_gpus(around: Surroundings, restarted: Iterable[str], stopped: Iterable[str]) -> frozenset[str]:
    """Return the GPUs that could not hold old and new at once where servers restart in any order."""
    again, gone = set(restarted), set(stopped)
    gpus = {gpu for name in again for gpu in around.wanted[name].claims}
    tight = set()
    for gpu in gpus:
        after = sum(_claim(unit, gpu) for unit in around.wanted.values() if unit.wanted)
        most = 0
        for name in around.had.keys() | around.wanted.keys():
            # what waits to be asked for holds nothing
            if around.states.get(name, UNKNOWN).down and not (name in around.wanted and around.wanted[name].wanted):
                continue
            old = _claim(around.had.get(name), gpu) if name not in gone else 0
            new = _claim(around.wanted.get(name), gpu)
            most += max(old, new) if name in again else old if name not in around.wanted else new
        if most > around.room.get(gpu, after):
            tight.add(gpu)
    return frozenset(tight)


def _claim(unit: Unit | None, gpu: str) -> int:
    return unit.claims.get(gpu, 0) if unit is not None else 0
