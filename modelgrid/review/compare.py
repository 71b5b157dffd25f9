"""Compares two compiled trees by the rules that ``apply`` has for a host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from modelgrid.apply.planning.planner import make_plan
from modelgrid.apply.planning.relaxations import relaxations_of
from modelgrid.apply.planning.units import Role, changed_keys, units_of
from modelgrid.apply.systemd import UnitState, Verb
from modelgrid.emit.origins import origins_of_key
from modelgrid.emit.routing import KEYS, MANIFEST
from modelgrid.review.values import ClaimChange, Effect, KeyChange, Kind, NamedChange, Review, UnitChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelgrid.apply.planning.plan import Action
    from modelgrid.apply.planning.relaxations import Relaxation
    from modelgrid.apply.planning.units import Unit
    from modelgrid.emit.artifact import Artifact

_RUNS = UnitState(load="loaded", active="active", sub="running")

#: Fields whose values nobody may see.
_SECRET = frozenset({"sha256"})

#: Keys of what only says how the unit was made.
_CLAIM = ("X-ModelGrid", "Claim")


def compare(before: Sequence[Artifact], after: Sequence[Artifact]) -> Review:
    """Return what is different in *after*; an empty *before* means that nothing was there."""
    old, new = units_of(before), units_of(after)
    plan = make_plan(after, before or None, {name: _RUNS for name, unit in old.items() if _runs(unit)})
    names = sorted(old.keys() | new.keys())
    actions = {name: [action for action in plan.actions if action.unit == name] for name in names}
    units = (_unit(old.get(name), new.get(name), actions[name]) for name in names)
    manifests = _fields(before, MANIFEST), _fields(after, MANIFEST)
    keys = _fields(before, KEYS), _fields(after, KEYS)
    images = _images(old.values()), _images(new.values())
    loose = _relaxations(old.values()), _relaxations(new.values())
    return Review(
        files=len(plan.files),
        units=tuple(unit for unit in units if unit is not None),
        routes=_named(_entries(manifests[0], "routes", "model"), _entries(manifests[1], "routes", "model")),
        keys=_named(_entries(keys[0], "keys", "name"), _entries(keys[1], "keys", "name")),
        settings=_changed_fields(_settings(manifests[0]), _settings(manifests[1])) if before else (),
        images_added=tuple(sorted(images[1] - images[0])),
        images_removed=tuple(sorted(images[0] - images[1])),
        claims=_claims(old.values(), new.values()),
        relaxations_gained=tuple(item for item in loose[1] if item not in loose[0]),
        relaxations_lost=tuple(item for item in loose[0] if item not in loose[1]),
    )


def _runs(unit: Unit) -> bool:
    """Say whether *unit* is up where all is: what nothing pulls in is there for others, and up with them."""
    return unit.wanted or unit.role is not Role.TARGET


def _unit(old: Unit | None, new: Unit | None, actions: Sequence[Action]) -> UnitChange | None:
    unit = new or old
    assert unit is not None, "a name is of one of the trees"
    keys: tuple[KeyChange, ...] = ()
    if old is not None and new is not None:
        keys = tuple(
            KeyChange(
                key=".".join(change.key) if change.key[0] else "the file",
                before=change.before,
                after=change.after,
                origins=origins_of_key(new.artifact, change.key) or origins_of_key(old.artifact, change.key),
            )
            for change in changed_keys(old.artifact.content, new.artifact.content)
        )
        if not keys and not actions:
            return None
    kind = Kind.CHANGED if old and new else Kind.ADDED if new else Kind.REMOVED
    said = tuple(f"{key.key} " for key in keys)
    reasons = dict.fromkeys(reason for action in actions for reason in action.reasons)
    return UnitChange(
        unit=unit.name,
        model=unit.model,
        kind=kind,
        effect=_effect({action.verb for action in actions}, kind),
        origin=unit.value("X-ModelGrid", "Origin"),
        keys=keys,
        reasons=tuple(reason for reason in reasons if kind is Kind.CHANGED and not reason.startswith(said)),
    )


def _effect(verbs: set[Verb], kind: Kind) -> Effect:
    if Verb.RESTART in verbs or {Verb.STOP, Verb.START} <= verbs:
        return Effect.RESTART
    for verb, effect in ((Verb.START, Effect.START), (Verb.STOP, Effect.STOP), (Verb.RELOAD, Effect.RELOAD)):
        if verb in verbs:
            return effect
    # a network or a gate comes up with what needs it, and goes with it
    return {Kind.ADDED: Effect.START, Kind.REMOVED: Effect.STOP, Kind.CHANGED: Effect.NOTHING}[kind]


def _fields(tree: Iterable[Artifact], path: str) -> Mapping[str, Any]:
    for artifact in tree:
        if artifact.path == path:
            try:
                value = json.loads(artifact.content)
            except ValueError:
                return {}
            return value if isinstance(value, dict) else {}
    return {}


def _entries(value: Mapping[str, Any], field: str, name: str) -> Mapping[str, Mapping[str, Any]]:
    found = value.get(field)
    return {str(item[name]): item for item in found or () if isinstance(item, dict) and name in item}


def _settings(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in manifest.items() if name not in {"routes", "manifest_version"}}


def _named(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> tuple[NamedChange, ...]:
    changes = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            changes.append(NamedChange(name=name, kind=Kind.ADDED if name in new else Kind.REMOVED))
        elif fields := _changed_fields(old[name], new[name]):
            changes.append(NamedChange(name=name, kind=Kind.CHANGED, fields=fields))
    return tuple(changes)


def _changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[KeyChange, ...]:
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return tuple(
        KeyChange(key=name, before=(), after=())
        if name in _SECRET
        else KeyChange(key=name, before=_values(old.get(name)), after=_values(new.get(name)))
        for name in names
    )


def _values(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    return tuple(item if isinstance(item, str) else json.dumps(item, sort_keys=True) for item in items)


def _images(units: Iterable[Unit]) -> frozenset[str]:
    """Return the images of a tree, those that are on the host already among them."""
    pulled = {unit.image for unit in units if unit.image}
    direct = {unit.value("Container", "Image").replace("%%", "%").replace("$$", "$") for unit in units}
    return frozenset(pulled | {image for image in direct if image and not image.endswith((".image", ".build"))})


def _claims(old: Iterable[Unit], new: Iterable[Unit]) -> tuple[ClaimChange, ...]:
    before, after = _claimed(old), _claimed(new)
    return tuple(
        ClaimChange(model=model, gpu=gpu, before=before.get((model, gpu)), after=after.get((model, gpu)))
        for model, gpu in sorted(before.keys() | after.keys())
        if before.get((model, gpu)) != after.get((model, gpu))
    )


def _claimed(units: Iterable[Unit]) -> Mapping[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for unit in units:
        for claim in unit.values.get(_CLAIM, ()):
            gpu, _, memory = claim.partition(" ")
            # replicas of a model may share a GPU
            found[unit.model, gpu] = found.get((unit.model, gpu), 0) + (int(memory) if memory.isdecimal() else 0)
    return found


def _relaxations(units: Iterable[Unit]) -> tuple[Relaxation, ...]:
    return tuple(item for unit in units for item in relaxations_of(unit))
