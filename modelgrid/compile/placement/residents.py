"""Which on-demand models may be resident together on a GPU, what that comes to, and in which order engines start."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from modelgrid.compile.placement.result import GpuRow, GpuUse
from modelgrid.compile.placement.wants import hundredths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelgrid.compile.placement.inventory import Inventory, Item, Positions


@dataclass(frozen=True, slots=True, kw_only=True)
class Residents:
    """The models of one GPU, each part by size and name.

    Attributes:
        always: loaded from the start on.
        free: on-demand models that may be resident beside all always-loaded and all free ones and one alternate.
        alternates: on-demand models of which one at most may be resident; empty, or at least two.
        peak: the most bytes that may be resident together.
    """

    always: tuple[Item, ...]
    free: tuple[Item, ...]
    alternates: tuple[Item, ...]
    peak: int


def residents(items: Iterable[Item], position: int, inventory: Inventory) -> Residents:
    """Part the models of the GPU at *position*, where every on-demand one fits beside the always-loaded ones.

    If not all on-demand ones fit together, the smallest stay free, as many as leave room for the largest of the
    others, whichever of those is resident.
    """

    def cost(item: Item) -> int:
        return item.cost(position, inventory)

    ordered = sorted(items, key=lambda item: (cost(item), item.name))
    always = tuple(item for item in ordered if item.request.always)
    demand = [item for item in ordered if not item.request.always]
    taken = sum(map(cost, always))
    if taken + sum(map(cost, demand)) <= inventory.capacity[position]:
        return Residents(always=always, free=tuple(demand), alternates=(), peak=taken + sum(map(cost, demand)))
    peak = taken + cost(demand[-1])
    count = 0
    while peak + cost(demand[count]) <= inventory.capacity[position]:
        peak += cost(demand[count])
        count += 1
    return Residents(always=always, free=tuple(demand[:count]), alternates=tuple(demand[count:]), peak=peak)


def conflict_groups(parts: Iterable[Residents]) -> tuple[tuple[str, ...], ...]:
    """Return the names of each GPU's alternates, every group once."""
    groups = {tuple(sorted(item.name for item in part.alternates)) for part in parts}
    return tuple(sorted(group for group in groups if group))


def gpu_use(part: Residents, position: int, inventory: Inventory, reserve: int) -> GpuUse:
    """Return the table of the GPU at *position*."""
    gpu = inventory.gpus[position]

    def share(item: Item) -> int:
        return hundredths(item.request, gpu.memory) or 0

    alternates = {item.name for item in part.alternates}
    listed = (*reversed(part.always), *reversed(part.free + part.alternates))
    rows = [
        GpuRow(
            model=item.name,
            memory=None if item.request.memory is None else item.cost(position, inventory),
            share=hundredths(item.request, gpu.memory),
            resident=item.request.resident,
            estimated=item.request.estimated,
            alternates=item.name in alternates,
        )
        for item in listed
    ]
    rows.sort(key=lambda row: (row.resident.value, -(row.memory or 0), row.model))  # always before on-demand
    return GpuUse(
        gpu=gpu,
        reserve=reserve,
        rows=tuple(rows),
        always=sum(item.cost(position, inventory) for item in part.always),
        peak=part.peak,
        share=sum(map(share, part.always + part.free)) + max(map(share, part.alternates), default=0),
    )


def start_order(
    places: Mapping[str, Positions], items: Mapping[str, Item], parts: Sequence[Residents]
) -> dict[str, tuple[str, ...]]:
    """Chain the engines with shares that may be resident together on a GPU, so that no two start at once.

    Each measures the free memory while it starts and counts what another takes meanwhile as its own. On each GPU
    the always-loaded ones are first, by name; an on-demand one follows the last of them, as they all start with the
    host, and the on-demand ones before it as far back as the first that is never stopped by another.
    """
    sharing = {name for name in places if items[name].request.shares}
    grouped = {item.name for part in parts for item in part.alternates}

    def key(name: str) -> tuple[bool, bool, str]:
        return (not items[name].request.always, name in grouped, name)

    after: dict[str, set[str]] = {name: set() for name in sharing}
    for part in parts:
        always = sorted({item.name for item in part.always} & sharing, key=key)
        free = {item.name for item in part.free} & sharing
        alternates = {item.name for item in part.alternates} & sharing
        for name, follower in pairwise(always):
            after[follower].add(name)
        link, since = always[-1:], list[str]()  # the last that is never stopped here, the alternates after it
        for name in sorted(free | alternates, key=key):
            after[name].update(always[-1:], link)
            if name in free:
                after[name].update(since)
                link, since = [name], []
            else:
                since.append(name)
    return {name: tuple(sorted(after[name])) for name in sorted(sharing) if after[name]}
