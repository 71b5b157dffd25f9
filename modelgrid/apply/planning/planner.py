"""Finds what it takes to get from one tree to another, and why. Pure: trees and unit states in, a plan out."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelgrid.apply.planning.plan import Action, Change, FileChange, NetworkRemoval, Plan, Pull, Waiting, Wave
from modelgrid.apply.planning.relaxations import relaxations_of
from modelgrid.apply.planning.units import Role, Unit, differences, units_of
from modelgrid.apply.systemd import UNKNOWN, UnitState, Verb
from modelgrid.emit.routing import KEYS, MANIFEST
from modelgrid.ir import OnChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelgrid.emit.artifact import Artifact

#: Sections of a quadlet that what depends on it has to be restarted for. A plain service says the same in one place.
_SHARED_SECTION = {Role.IMAGE: "Image.", Role.NETWORK: "Network."}
_PLAIN_SECTION = "Service.Exec"


def make_plan(
    desired: Sequence[Artifact],
    current: Sequence[Artifact] | None,
    states: Mapping[str, UnitState],
    *,
    missing_links: Iterable[str] = (),
    suspects: Iterable[Sequence[Artifact]] = (),
    rotated: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """Compare *desired* with *current*, none where nothing was applied, on a host whose units have *states*.

    A unit without a state counts as unknown to systemd. *missing_links* are links that *current* has lost on the host.
    Only what differs in meaning (:func:`modelgrid.emit.unitfile.meaning`) touches a unit; a comment does not.
    *suspects* are other trees that units may still run by, for an interrupted change left them, or for a server goes on
    as its ``on_change`` asks: a unit is left alone only where it differs from none of them. *rotated* are the secrets,
    by name, of each unit that has another value since the unit started.
    """
    had = current or ()
    planner = _Planner(units_of(desired), units_of(had), states, _gateway_news(desired, had), rotated or {})
    actions, networks = planner.actions(), planner.networks()
    waiting = {item.unit: item for item in planner.waiting}
    for suspect in suspects:
        other = _Planner(planner.wanted, units_of(suspect), states, _gateway_news(desired, suspect))
        # what only the suspect lacks is judged by the current tree
        others = other.actions(added=False)
        jobs = {action.unit for action in others if action.queued}
        known = {action.unit for action in actions if action.queued or action.unit not in jobs}
        actions = (
            *(action for action in actions if action.unit in known),
            *(action for action in others if action.unit not in known),
        )
        networks += tuple(item for item in other.networks() if item not in networks)
        waiting |= {item.unit: item for item in other.waiting if item.unit not in waiting}
    touched = {action.unit for action in actions}
    return Plan(
        files=_file_changes(desired, had),
        actions=_in_order(actions),
        networks=networks,
        links=tuple(sorted(missing_links)),
        waiting=tuple(waiting[name] for name in sorted(waiting.keys() - touched)),
        unchanged=tuple(
            name for name in planner.wanted if name in planner.had and name not in touched and name not in waiting
        ),
        images=_pulls(unit for name, unit in planner.wanted.items() if unit.image and name in touched),
        relaxations=tuple(item for unit in planner.wanted.values() for item in relaxations_of(unit)),
        notes=tuple(
            f"{name} is masked and stays down; to allow it: systemctl unmask {name}"
            for name, unit in planner.wanted.items()
            if unit.wanted and states.get(name, UNKNOWN).masked
        ),
    )


class _Planner:
    """Decides about each unit in turn. Strictly private: one is made per plan."""

    def __init__(
        self,
        wanted: Mapping[str, Unit],
        had: Mapping[str, Unit],
        states: Mapping[str, UnitState],
        gateway_news: _News,
        rotated: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self.wanted = wanted
        self.had = had
        self._states = states
        self._gateway_news = gateway_news
        self._rotated = rotated
        #: what goes on by its older definition; filled by :meth:`actions`
        self.waiting: list[Waiting] = []
        #: why a unit that both trees have is not what it was
        self._news = {name: self._differences(name) for name in wanted.keys() & had.keys()}
        self._renewed = {name for name, news in self._news.items() if news and wanted[name].role is Role.NETWORK}
        #: units that another program runs now: the one of before has to stop its container while systemd knows how
        self._moved = {name for name in self._news if wanted[name].manager is not had[name].manager}

    def actions(self, *, added: bool = True) -> tuple[Action, ...]:
        """Return what happens to every unit, in the order of the waves; without *added*, not to those that are new."""
        found: list[Action] = []
        for name in self.had.keys() - self.wanted.keys():
            found += self._removed(self.had[name])
        for unit in self.wanted.values():
            if self._state(unit).masked:
                continue
            if unit.name in self._renewed | self._moved or unit.needs & self._renewed:
                found += self._renew(unit)
            elif unit.name in self.had:
                found += self._kept(unit)
            elif added:
                found += self._added(unit)
        return _in_order(found)

    def networks(self) -> tuple[NetworkRemoval, ...]:
        """Return the networks that change, and those that nothing needs any more."""
        gone = (unit for name, unit in self.had.items() if unit.role is Role.NETWORK and name not in self.wanted)
        taken = {(unit.program, unit.network) for unit in self.wanted.values() if unit.network}
        found = [_removal(Wave.BEFORE, self.had[name]) for name in sorted(self._renewed)]
        # another unit may make the network of that name from now on
        found += [_removal(Wave.BEFORE if (u.program, u.network) in taken else Wave.AFTER, u) for u in gone]
        return tuple(sorted(found, key=lambda item: item.wave is Wave.AFTER))

    def _removed(self, unit: Unit) -> Iterable[Action]:
        if self._state(unit).active == "inactive":
            return
        # systemd stops with an image or a network whatever requires it, so these wait until nothing does
        late = unit.role in {Role.IMAGE, Role.NETWORK, Role.GATE}
        yield _action(Wave.AFTER if late else Wave.BEFORE, Verb.STOP, unit, "it is no longer configured")

    def _added(self, unit: Unit) -> Iterable[Action]:
        if self._state(unit).down:
            if unit.wanted or unit.role is Role.IMAGE:
                yield _action(_wave(unit), Verb.START, unit, "it is new")
        elif unit.role in {Role.SERVICE, Role.GATEWAY, Role.NETWORK}:
            yield _action(_wave(unit), Verb.RESTART, unit, "it is new, and a unit of that name runs already")

    def _kept(self, unit: Unit) -> Iterable[Action]:
        state = self._state(unit)
        reasons = self._reasons(unit)
        if state.down:
            if unit.wanted:
                # one that is about to go down may be half through a restart, which a start would only join
                verb = Verb.RESTART if state.active == "deactivating" else Verb.START
                yield _action(_wave(unit), verb, unit, *reasons, _why_down(state))
        elif reasons:
            yield from self._changed(unit, reasons)
        elif unit.role is Role.GATEWAY and (news := self._gateway_news):
            action = _action(_wave(unit), Verb.RELOAD, unit, *news.keys, *news.routes)
            yield replace(action, queued=bool(news.keys))

    def _changed(self, unit: Unit, reasons: tuple[str, ...]) -> Iterable[Action]:
        """Do with *unit*, which runs, what it asks for where its definition changes."""
        if unit.on_change is OnChange.RESTART:
            yield _action(_wave(unit), Verb.RESTART, unit, *reasons)
        elif unit.on_change is OnChange.RELOAD and unit.name in self._rotated:
            # what reads its files again is still given the old secret
            yield _action(_wave(unit), Verb.RESTART, unit, *reasons)
        elif unit.on_change is OnChange.RELOAD:
            yield _action(_wave(unit), Verb.RELOAD, unit, *reasons)
        else:
            told = unit.on_change is OnChange.MANUAL
            self.waiting.append(Waiting(unit=unit.name, model=unit.model, told=told, reasons=reasons))

    def _renew(self, unit: Unit) -> Iterable[Action]:
        """Stop *unit* before the swap and start it after, for its network is made anew in between."""
        changed = (f"{name} changed" for name in sorted(unit.needs & self._renewed))
        reasons = (*self._reasons(unit), *changed) or ("another program runs it",)
        down = self._state(unit).down
        if not down:
            yield _action(Wave.BEFORE, Verb.STOP, unit, *reasons)
        if unit.wanted or not down:
            yield _action(Wave.RUN, Verb.START, unit, *reasons)

    def _reasons(self, unit: Unit) -> tuple[str, ...]:
        """Return why *unit* must be restarted: what it says, what it depends on, the secrets that it was given."""
        images = (name for name in sorted(unit.needs - self._renewed) if self._news.get(name))
        secrets = (f'secret "{name}" was rotated' for name in self._rotated.get(unit.name, ()))
        return (*self._news.get(unit.name, ()), *(f"{name} changed" for name in images), *secrets)

    def _differences(self, name: str) -> tuple[str, ...]:
        role = self.wanted[name].role
        if role is Role.TARGET:
            # it runs nothing: what it wants now is in effect after daemon-reload
            return ()
        section = _SHARED_SECTION.get(role, "")
        if section and self.wanted[name].plain:
            section = _PLAIN_SECTION
        found = differences(self.had[name].artifact.content, self.wanted[name].artifact.content)
        return tuple(clause for clause in found if clause.startswith(section))

    def _state(self, unit: Unit) -> UnitState:
        return self._states.get(unit.name, UNKNOWN)


def with_joins(plan: Plan, wanted: Mapping[str, Unit], states: Mapping[str, UnitState]) -> Plan:
    """Return *plan* with what is on its way up waited for.

    It is for a change that goes on from an interrupted one: that asked for those units, and nobody waits for them now.
    systemd joins the new job with the one that is under way.
    """
    settled = {action.unit for action in plan.actions} | {item.unit for item in plan.waiting}
    joins = [
        _action(_wave(unit), Verb.START, unit, "it is still starting")
        for name, unit in wanted.items()
        if unit.wanted and name not in settled and (state := states.get(name, UNKNOWN)).active == "activating"
        if not state.down
    ]
    names = {action.unit for action in joins}
    return replace(
        plan,
        actions=_in_order((*plan.actions, *joins)),
        unchanged=tuple(name for name in plan.unchanged if name not in names),
    )


def _pulls(units: Iterable[Unit]) -> tuple[Pull, ...]:
    found = {Pull(image=unit.image, program=unit.program, size=unit.pull_size) for unit in units}
    return tuple(sorted(found, key=lambda pull: (pull.image, pull.program)))


def _in_order(actions: Iterable[Action]) -> tuple[Action, ...]:
    order = {wave: index for index, wave in enumerate(Wave)}
    return tuple(sorted(actions, key=lambda action: (order[action.wave], action.unit)))


def _action(wave: Wave, verb: Verb, unit: Unit, *reasons: str) -> Action:
    origin = unit.value("X-ModelGrid", "Origin")
    return Action(wave=wave, verb=verb, unit=unit.name, model=unit.model, origin=origin, reasons=reasons)


def _wave(unit: Unit) -> Wave:
    return Wave.PULL if unit.role is Role.IMAGE else Wave.RUN


def _why_down(state: UnitState) -> str:
    return "it failed" if state.active in {"failed", "activating"} else "it is not running"


def _removal(wave: Wave, unit: Unit) -> NetworkRemoval:
    return NetworkRemoval(wave=wave, name=unit.network, program=unit.program)


def _file_changes(desired: Iterable[Artifact], current: Iterable[Artifact]) -> tuple[FileChange, ...]:
    wanted, had = {item.path: item for item in desired}, {item.path: item for item in current}
    changes = []
    for path in sorted(wanted.keys() | had.keys()):
        if path not in had:
            changes.append(FileChange(path=path, change=Change.ADD))
        elif path not in wanted:
            changes.append(FileChange(path=path, change=Change.REMOVE))
        elif wanted[path] != had[path]:
            changes.append(FileChange(path=path, change=Change.ALTER))
    return tuple(changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """What is new of the gateway's inputs, one clause each: its unit copies keys, and it sees routes by itself."""

    keys: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys or self.routes)


def _gateway_news(desired: Iterable[Artifact], current: Iterable[Artifact]) -> _News:
    wanted, had = {item.path: item.content for item in desired}, {item.path: item.content for item in current}

    def changed(path: str) -> bool:
        return path in wanted and path in had and _json(wanted[path]) != _json(had[path])

    return _News(
        keys=(f"{KEYS} changed",) if changed(KEYS) else (),
        routes=_route_changes(had[MANIFEST], wanted[MANIFEST]) if changed(MANIFEST) else (),
    )


def _route_changes(before: str, after: str) -> tuple[str, ...]:
    old, new = _routes(before), _routes(after)
    words = [f"route {model} is new" for model in sorted(new.keys() - old.keys())]
    words += [f"route {model} is gone" for model in sorted(old.keys() - new.keys())]
    words += [f"route {model} changed" for model in sorted(new.keys() & old.keys()) if new[model] != old[model]]
    return tuple(words) or (f"{MANIFEST} changed",)


def _routes(text: str) -> Mapping[str, Any]:
    value = _json(text)
    routes = value.get("routes") if isinstance(value, dict) else None
    return {str(item["model"]): item for item in routes or () if isinstance(item, dict) and "model" in item}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
