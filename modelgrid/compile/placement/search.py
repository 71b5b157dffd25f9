"""The complete search for an arrangement, where taking one model after the other found none.

Depth first over the models, largest first. What keeps it short: GPUs of one kind with equal room are one choice, a
state that failed is not entered again, and a state is left as soon as what is to come needs more than is left, or
one model to come has no place even alone.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING

from modelgrid.compile.placement.inventory import fits
from modelgrid.compile.placement.wants import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelgrid.compile.placement.inventory import Inventory, Item, Positions


class Verdict(Enum):
    """Why a search returned no arrangement."""

    IMPOSSIBLE = "there is none"
    UNDECIDED = "the steps were used up"


@dataclass(slots=True)
class Steps:
    """How many more states may be entered. A number and not a time, so that every machine decides alike."""

    left: int

    def take(self) -> bool:
        """Use one; false when none is left."""
        self.left -= 1
        return self.left >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Always-loaded models that want a place each, beside what cannot move.

    Attributes:
        items: models without pins, to be arranged.
        demands: on-demand models without pins; each must fit alone beside the arrangement.
        left: by position, bytes for *items*.
        keep: by position, bytes kept beside them for pinned on-demand models; *demands* may use them.
    """

    inventory: Inventory
    items: Sequence[Item]
    demands: Sequence[Item]
    left: Sequence[int]
    keep: Sequence[int]


def search(
    problem: Problem, strategy: Strategy, near: Mapping[str, Positions], steps: Steps
) -> dict[str, Positions] | Verdict:
    """Return places for all items of *problem*, or why there are none.

    The places of *near*, by model, are tried first, then others in the way of *strategy*: this decides which
    arrangement is found first, and not whether there is one.
    """
    run = _Search(problem, strategy, near)
    items = run.items
    if not run.enter(0):
        return Verdict.IMPOSSIBLE
    chosen: list[Positions] = []
    choices = [run.choices(0)]
    while len(chosen) < len(items):
        places = next(choices[-1], None)
        if places is None:  # nothing is left to try here: back to the item before
            choices.pop()
            if not choices:
                return Verdict.IMPOSSIBLE
            run.move(items[len(chosen) - 1], chosen.pop(), 1)
            continue
        if not steps.take():
            return Verdict.UNDECIDED
        run.move(items[len(chosen)], places, -1)
        if run.enter(len(chosen) + 1):
            chosen.append(places)
            choices.append(run.choices(len(chosen)))
        else:
            run.move(items[len(chosen)], places, 1)
    return {item.name: places for item, places in zip(items, chosen, strict=True)}


def more_than_fit(sizes: Sequence[int], rooms: Sequence[int]) -> bool:
    """Return whether *rooms* cannot hold that many parts of *sizes*, ascending, whichever go where.

    One room holds at most as many as it would hold of the smallest. The sum of sizes misses what each leaves unused.
    """
    largest = max(rooms, default=0)
    sums = list(takewhile(lambda total: total <= largest, accumulate(sizes)))
    return sum(bisect_right(sums, room) for room in rooms) < len(sizes)


class _Search:
    """The state of one search, and the tests that end a branch."""

    def __init__(self, problem: Problem, strategy: Strategy, near: Mapping[str, Positions]) -> None:
        self.problem = problem
        self.inventory = problem.inventory
        self.near = near
        self.sign = 1 if strategy is Strategy.BINPACK else -1
        self.items = sorted(problem.items, key=lambda item: (-item.count, -item.least, item.name))
        self.left = list(problem.left)
        demands: dict[object, Item] = {}
        for item in problem.demands:
            _harder(item, demands)
        self.demands = tuple(demands.values())
        self.failed: set[tuple[object, ...]] = set()
        # for each depth: bytes that all to come take, the least that one takes of one GPU, the hardest of each sort
        size = len(self.items)
        self.need, self.least = [0] * (size + 1), [0] * (size + 1)
        self.hardest: list[tuple[Item, ...]] = [()] * (size + 1)
        by_sort: dict[object, Item] = {}
        for depth in range(size - 1, -1, -1):
            item = self.items[depth]
            self.need[depth] = self.need[depth + 1] + item.least
            self.least[depth] = item.part if depth == size - 1 else min(item.part, self.least[depth + 1])
            _harder(item, by_sort)
            self.hardest[depth] = tuple(by_sort.values())

    def move(self, item: Item, places: Positions, sign: int) -> None:
        """Give *item* its places (-1), or give them back (1)."""
        for position in places:
            self.left[position] += sign * item.cost(position, self.inventory)

    def enter(self, depth: int) -> bool:
        """Return whether an arrangement may come of this state, which is entered once."""
        left, inventory = self.left, self.inventory
        least = self.least[depth]
        if sum(room for room in left if room >= least) < self.need[depth]:
            return False
        if not all(fits(item, left, inventory) for item in self.hardest[depth]):
            return False
        if self.demands:
            whole = [room + kept for room, kept in zip(left, self.problem.keep, strict=True)]
            if not all(fits(item, whole, inventory) for item in self.demands):
                return False
        state = (
            depth,
            *(tuple(sorted((left[of], self.problem.keep[of]) for of in kind)) for kind in inventory.members),
        )
        if state in self.failed:
            return False
        self.failed.add(state)
        return True

    def choices(self, depth: int) -> Iterator[Positions]:
        """Yield the places that the item at *depth* can take, equal ones once, the preferred first."""
        item, left, keep = self.items[depth], self.left, self.problem.keep
        near = self.near.get(item.name)
        if near and all(left[of] >= item.cost(of, self.inventory) for of in near):
            yield near
        kinds = []
        for kind, cost in item.costs.items():
            alike: dict[tuple[int, int], list[int]] = {}
            for position in self.inventory.members[kind]:
                if left[position] >= cost:
                    alike.setdefault((self.sign * left[position], keep[position]), []).append(position)
            if alike:
                kinds.append(sorted(alike.items()))
        for groups in sorted(kinds):
            yield from _some([positions for _, positions in groups], item.count)


def _some(groups: Sequence[Sequence[int]], count: int) -> Iterator[Positions]:
    """Yield every way to take *count* of *groups*, of each group its first ones; most of the first groups first."""
    if count == 0:
        yield ()
    elif sum(map(len, groups)) >= count:
        first, rest = groups[0], groups[1:]
        for many in range(min(count, len(first)), -1, -1):
            for others in _some(rest, count - many):
                yield tuple(sorted((*first[:many], *others)))


def _harder(item: Item, by_sort: dict[object, Item]) -> None:
    """Keep *item* in *by_sort* if it is the largest of its sort: where the largest fits, all of its sort do."""
    sort = (item.count, item.request.shares, tuple(item.costs))
    if sort not in by_sort or item.request.each > by_sort[sort].request.each:
        by_sort[sort] = item
