"""Which generations go when new ones have come: by count and by age, and never one that a way back may need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelgrid.apply.store.generations import KEEP

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from modelgrid.apply.store.generations import Generation, Generations
    from modelgrid.apply.store.records import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long generations stay: the newest *keep* of them, and where *age* is given, none that is older (seconds)."""

    keep: int = KEEP
    age: float | None = None


DEFAULT = Retention()


def expired(
    generations: Iterable[Generation], retention: Retention, *, held: AbstractSet[int], now: datetime
) -> tuple[int, ...]:
    """Return the numbers of the *generations* that go by *retention*, in order; those of *held* never do.

    One whose time cannot be read counts as young, and so does one of a clock that was ahead.
    """
    in_order = sorted(generations, key=lambda item: item.number)
    surplus = {item.number for item in in_order[: max(0, len(in_order) - retention.keep)]}
    old = {item.number for item in in_order if retention.age is not None and _age(item, now) > retention.age}
    return tuple(sorted((surplus | old) - held))


def held_generations(generations: Generations, records: Records) -> frozenset[int]:
    """Return the generations that something may still go back to, or runs by.

    They are the current one and the one that it took over from, the newest (the one that a rollback came from), all of
    a change that is under way, on probation or was interrupted, the one that was last seen healthy, and those that
    servers go on by.

    Raises:
        HostError: a record cannot be read.
    """
    current, pending, probation = generations.current(), records.pending(), records.probation()
    held = {current, records.confirmed(), *(item.generation for item in records.behind().values())}
    held |= set(generations.numbers()[-1:])
    if current is not None:
        held.add(generations.parent(current))
    if pending is not None:
        held |= {pending.source, pending.target, *pending.made, *pending.lefts}
    if probation is not None:
        held |= {probation.generation, probation.back_to}
    return frozenset(number for number in held if number is not None)


def _age(generation: Generation, now: datetime) -> float:
    """Return the seconds since *generation* was made; 0 where that is not known."""
    try:
        created = datetime.strptime(generation.created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return (now - created).total_seconds()
