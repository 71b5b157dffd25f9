"""For how long a change takes models away from their clients, as far as that can be foretold. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from modelgrid.apply.planning.plan import Handover
from modelgrid.apply.planning.units import Role, units_of
from modelgrid.apply.systemd import Verb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.apply.planning.plan import Action, Plan
    from modelgrid.apply.planning.units import Unit
    from modelgrid.emit.artifact import Artifact


class Service(Enum):
    """What clients of a model see of a change."""

    #: Another of its servers answers meanwhile, or a second one beside it.
    GOES_ON = "goes on"
    #: The gateway has requests wait until it is back.
    HELD = "held"
    DOWN = "down"
    #: It was not served before.
    STARTS = "starts"
    STOPS = "stops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Downtime:
    """What a change means for the clients of one model.

    Attributes:
        model: its name; empty for the gateway itself, and so for all models.
        expected: seconds that its server took to start the last time; none where nobody knows.
        bound: most seconds that it may take before the change is taken back; none where nothing bounds it.
    """

    model: str
    service: Service
    expected: float | None = None
    bound: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return {
            "model": self.model or None,
            "service": self.service.value,
            "expected_s": None if self.expected is None else round(self.expected, 3),
            "bound_s": self.bound,
        }


def downtimes(
    plan: Plan, desired: Sequence[Artifact], current: Sequence[Artifact] | None, started: Mapping[str, float | None]
) -> tuple[Downtime, ...]:
    """Return what *plan* means for each model that it touches, sorted, the gateway first.

    *started* has the seconds that each unit of *current* took to start the last time, where systemd knows.
    """
    new, old = _by_model(units_of(desired)), _by_model(units_of(current or ()))
    touched: dict[str, list[Action]] = {}
    for action in plan.actions:
        if action.verb is not Verb.RELOAD:
            touched.setdefault(action.unit, []).append(action)
    found: list[Downtime] = []
    for model in sorted(new.keys() | old.keys()):
        service = _service(new.get(model, ()), old.get(model, ()), touched)
        if service is not None:
            begun = [unit for unit in new.get(model, ()) if unit.name in touched]
            known = [seconds for unit in begun if (seconds := started.get(unit.name)) is not None]
            bounds = [bound for unit in begun if (bound := start_bound(unit)) is not None]
            expected, bound = max(known, default=None), max(bounds, default=None)
            found.append(Downtime(model=model, service=service, expected=expected, bound=bound))
    return tuple(found)


def start_bound(unit: Unit) -> float | None:
    """Return the seconds that *unit* may take to start (TimeoutStartSec=); none where it does not say."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s?", unit.value("Service", "TimeoutStartSec"))
    return float(match[1]) if match else None


def _by_model(units: Mapping[str, Unit]) -> Mapping[str, tuple[Unit, ...]]:
    found: dict[str, tuple[Unit, ...]] = {}
    for unit in units.values():
        if unit.role is Role.GATEWAY:
            found[""] = (unit,)
        elif unit.role is Role.SERVICE:
            for model in unit.models:
                found[model] = (*found.get(model, ()), unit)
    return found


def _service(new: Sequence[Unit], old: Sequence[Unit], touched: Mapping[str, Sequence[Action]]) -> Service | None:
    """Return what becomes of a model that had the servers *old* and gets *new*; none where none of them is touched."""
    had = {unit.name for unit in old}
    actions = [action for unit in {unit.name: unit for unit in (*old, *new)} for action in touched.get(unit, ())]
    if not actions:
        return None
    if not new:
        return Service.STOPS
    if any(unit.name in had and unit.name not in touched for unit in new):
        return Service.GOES_ON
    ended = [action for action in actions if action.unit in had and action.verb is not Verb.START]
    if not ended:
        return Service.STARTS
    if all(action.handover is Handover.BESIDE for action in ended) or len({action.batch for action in ended}) > 1:
        return Service.GOES_ON
    return Service.HELD if all(action.handover for action in ended) else Service.DOWN
