"""Where one model goes among the GPUs that have room: the two strategies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.compile.placement.wants import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelgrid.compile.placement.inventory import Inventory, Item, Positions


@dataclass(slots=True)
class Load:
    """How full the GPUs are, by position.

    Attributes:
        room: bytes left when all models that were placed are resident; below 0 where some of them alternate.
        models: how many models there are.
    """

    room: list[int]
    models: list[int]

    def add(self, item: Item, places: Positions, inventory: Inventory) -> None:
        """Count *item* in at *places*."""
        for position in places:
            self.room[position] -= item.cost(position, inventory)
            self.models[position] += 1


def choose(item: Item, inventory: Inventory, limit: Sequence[int], load: Load, strategy: Strategy) -> Positions | None:
    """Return the best places for *item* of those where *limit* has room for it; none where there are too few.

    A place where it fits beside all others comes before one where it has to alternate with some. Then BINPACK takes
    GPUs in use before unused ones and those with the least room left; SPREAD those with the most. A model of
    unknown size goes where most is left. The rest is decided by the number of models and the index.
    """
    tight = strategy is Strategy.BINPACK and item.request.memory is not None

    def rank(position: int, cost: int) -> tuple[int, int, int, int]:
        after = load.room[position] - cost
        if after < 0 or not tight:
            return (2 if after < 0 and tight else 0, -after, load.models[position], position)
        return (0 if load.models[position] else 1, after, 0, position)

    return best(item, inventory, limit, rank)


def best(
    item: Item, inventory: Inventory, limit: Sequence[int], rank: Callable[[int, int], tuple[int, int, int, int]]
) -> Positions | None:
    """Return the places of one kind with the lowest ranks, of those kinds the one whose places rank lowest."""
    found: tuple[tuple[int, list[tuple[int, int, int, int]]], Positions] | None = None
    for kind, cost in item.costs.items():
        ranks = [rank(position, cost) for position in inventory.members[kind] if limit[position] >= cost]
        if len(ranks) < item.count:
            continue
        ranks = [min(ranks)] if item.count == 1 else sorted(ranks)[: item.count]
        key = (sum(of[0] for of in ranks), ranks[::-1])
        if found is None or key < found[0]:
            found = key, tuple(sorted(of[-1] for of in ranks))
    return found[1] if found else None
