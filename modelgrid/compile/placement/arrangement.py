"""Takes in models one after the other, and rearranges those without pins where one finds no place."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from modelgrid.compile.placement import messages
from modelgrid.compile.placement.choice import Load, choose
from modelgrid.compile.placement.core import smallest_core
from modelgrid.compile.placement.inventory import fits
from modelgrid.compile.placement.result import FaultKind
from modelgrid.compile.placement.search import Problem, Steps, Verdict, more_than_fit, search
from modelgrid.compile.placement.wants import Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.compile.placement.inventory import Inventory, Item, Positions
    from modelgrid.compile.placement.result import PlacementFault

_CORE_SHOWN = 32


class Arrangement:
    """What has a place so far. On-demand models without pins get theirs at the end: they never take another's."""

    def __init__(self, inventory: Inventory, strategy: Strategy, budget: int) -> None:
        self.inventory = inventory
        self.strategy = strategy
        self.steps = Steps(budget)
        self.core_steps = Steps(budget // 4)
        size = len(inventory.gpus)
        self.fixed = list(inventory.capacity)  # by position, what pinned models leave
        self.keep = [0] * size  # by position, what the largest pinned on-demand model keeps from always-loaded ones
        self.load = Load(list(inventory.capacity), [0] * size)  # what always-loaded models may still take
        self.pinned: dict[str, Item] = {}
        self.movable: dict[str, Item] = {}
        self.demands: list[Item] = []
        self.unknown: list[Item] = []
        self.places: dict[str, Positions] = {}
        self.holders: list[list[Item]] = [[] for _ in range(size)]
        self.least = 0  # bytes that the movable models take at least
        self.parts: list[int] = []  # the same for each part, ascending
        self.failed: dict[object, tuple[FaultKind, tuple[str, ...]]] = {}
        self.faults: list[PlacementFault] = []

    def add(self, item: Item) -> None:
        """Give *item* a place, or add its fault."""
        if item.pinned:
            self._add_pinned(item)
        elif item.request.memory is None:
            self.unknown.append(item)
        elif item.request.always:
            places = choose(item, self.inventory, self.load.room, self.load, self.strategy)
            if places is None:
                self._rearrange(item)
            else:
                self.movable[item.name] = item
                self._take(item, places)
        elif fits(item, self.beside_always(), self.inventory):
            self.demands.append(item)
        else:
            self._rearrange(item)

    def beside_always(self) -> list[int]:
        """Return by position what an on-demand model may take, the bytes beside the always-loaded ones."""
        return [left + kept for left, kept in zip(self.load.room, self.keep, strict=True)]

    def _add_pinned(self, item: Item) -> None:
        costs = [(position, item.cost(position, self.inventory)) for position in item.pinned]
        limit = self.beside_always()
        short = [position for position, cost in costs if limit[position] < cost]
        if short:
            self._fault(item, FaultKind.NO_ROOM, self._core(item))
            return
        self.pinned[item.name] = item
        self._take(item, item.pinned)
        for position, cost in costs:
            if not item.request.always:
                self.load.room[position] += cost
                more = max(0, cost - self.keep[position])
                self.keep[position] += more
                self.load.room[position] -= more
            self.fixed[position] = self.load.room[position]

    def _take(self, item: Item, places: Positions) -> None:
        self.load.add(item, places, self.inventory)
        self.places[item.name] = places
        if item.least:
            for position in places:
                self.holders[position].append(item)
        if item.name in self.movable:
            self.least += item.least
            for _ in range(item.count):
                insort(self.parts, item.part)

    def _rearrange(self, item: Item) -> None:
        """Look for an arrangement of all movable models that leaves room for *item* too."""
        known = self.failed.get(item.shape)  # the same was asked before, with fewer models in the way
        if known is None:
            found = self._search(item)
            if isinstance(found, dict):
                self._adopt(item, found)
                return
            known = (FaultKind.UNDECIDED, ())
            if found is Verdict.IMPOSSIBLE:
                known = (FaultKind.NO_ROOM, self._core(item))
            self.failed[item.shape] = known
        self._fault(item, *known)

    def _search(self, item: Item) -> dict[str, Positions] | Verdict:
        free = sum(self.fixed) - self.least + (0 if item.request.always else sum(self.keep))
        if free < item.least:
            return Verdict.IMPOSSIBLE
        if item.request.always:
            larger = self.parts[bisect_left(self.parts, item.part) :]
            if more_than_fit([item.part] * item.count + larger, self.fixed):
                return Verdict.IMPOSSIBLE
        self.steps.left -= min(self.steps.left, len(self.movable) // 16)  # to set up a search costs time as well
        attempts: tuple[tuple[Strategy, Mapping[str, Positions], int], ...] = (
            (self.strategy, self.places, 8),  # near the arrangement that is there, in the way of the strategy
            (Strategy.BINPACK, {}, 2),  # what packs best
        )
        for strategy, near, part in attempts:
            if self.steps.left < part:
                break
            steps = Steps(self.steps.left // part)  # a part, so that one hard case leaves some for the next
            self.steps.left -= steps.left
            found = search(self._problem(item), strategy, near, steps)
            self.steps.left += max(0, steps.left)
            if found is not Verdict.UNDECIDED:
                return found
        return Verdict.UNDECIDED

    def _problem(self, item: Item) -> Problem:
        items = [*self.movable.values(), item]
        return Problem(
            inventory=self.inventory,
            items=[of for of in items if of.request.always],
            demands=[of for of in (*self.demands, item) if not of.request.always],
            left=self.fixed,
            keep=self.keep,
        )

    def _adopt(self, item: Item, places: dict[str, Positions]) -> None:
        """Take the arrangement *places* in the place of the present one."""
        if item.request.always:
            self.movable[item.name] = item
        else:
            self.demands.append(item)
        inventory = self.inventory
        self.load = Load(list(self.fixed), [0] * len(inventory.gpus))
        self.holders = [[] for _ in inventory.gpus]
        self.least, self.parts = 0, []
        for other in self.pinned.values():
            for position in other.pinned:
                self.load.models[position] += 1
                if other.least:
                    self.holders[position].append(other)
        for name, other in self.movable.items():
            self._take(other, places[name])

    def _core(self, item: Item) -> tuple[str, ...]:
        """Return the names of models that leave *item* no place in any arrangement; empty where they are many."""
        others = sorted((*self.pinned.values(), *self.movable.values(), *self.demands), key=_size)
        core = smallest_core(others, lambda some: self._impossible([*some, item]), self.core_steps)
        return tuple(of.name for of in reversed(core)) if len(core) <= _CORE_SHOWN else ()

    def _impossible(self, items: Sequence[Item]) -> bool:
        """Return whether it is proven that *items* have no place together; the last is the one that found none."""
        left, keep = list(self.inventory.capacity), [0] * len(self.inventory.gpus)
        for item in items:
            for position in item.pinned:
                cost = item.cost(position, self.inventory)
                if item.request.always:
                    left[position] -= cost
                else:
                    keep[position] = max(keep[position], cost)
        left = [room - kept for room, kept in zip(left, keep, strict=True)]
        if min(left) < 0:
            return True
        free = [item for item in items if not item.pinned]
        always = [item for item in free if item.request.always]
        smallest = items[-1].part
        parts = sorted(item.part for item in always for _ in range(item.count) if item.part >= smallest)
        if more_than_fit(parts, left):
            return True
        problem = Problem(
            inventory=self.inventory,
            items=always,
            demands=[item for item in free if not item.request.always],
            left=left,
            keep=keep,
        )
        return search(problem, Strategy.BINPACK, {}, self.core_steps) is Verdict.IMPOSSIBLE

    def _fault(self, item: Item, kind: FaultKind, core: Sequence[str]) -> None:
        left = self.load.room if item.request.always else self.beside_always()
        if kind is FaultKind.NO_ROOM:
            fault = messages.no_room(item, self.inventory, left, self.holders, core)
        else:
            fault = messages.undecided(item, self.inventory, left, self.holders)
        self.faults.append(fault)


def _size(item: Item) -> tuple[int, str]:
    return (item.least, item.name)
