"""The GPUs of a host in numbers, and what a model costs on each kind of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from modelgrid.compile.placement.wants import held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelgrid.compile.placement.wants import GpuRequest
    from modelgrid.host.facts import Gpu

#: GPUs by position in ``Inventory.gpus``, ascending.
Positions: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """A host's GPUs.

    Attributes:
        gpus: by index.
        kinds: for each position, the number of its kind. GPUs of one kind have vendor, name and memory in common.
        members: for each kind, the positions of its GPUs.
        capacity: for each position, bytes that models may take.
    """

    gpus: tuple[Gpu, ...]
    kinds: tuple[int, ...]
    members: tuple[Positions, ...]
    capacity: tuple[int, ...]

    @classmethod
    def of(cls, gpus: Iterable[Gpu], reserve: int) -> Inventory:
        """Sort *gpus* into kinds; *reserve* bytes of each stay free."""
        ordered = tuple(sorted(gpus, key=lambda gpu: gpu.index))
        members: dict[tuple[str, str, int], list[int]] = {}
        for position, gpu in enumerate(ordered):
            members.setdefault((gpu.vendor.value, gpu.name, gpu.memory), []).append(position)
        kind_of = {position: kind for kind, of in enumerate(members.values()) for position in of}
        return cls(
            gpus=ordered,
            kinds=tuple(kind_of[position] for position in range(len(ordered))),
            members=tuple(tuple(of) for of in members.values()),
            capacity=tuple(max(0, gpu.memory - reserve) for gpu in ordered),
        )

    def example(self, kind: int) -> Gpu:
        """Return the first GPU of *kind*."""
        return self.gpus[self.members[kind][0]]


@dataclass(frozen=True, slots=True)
class Item:
    """A request beside the inventory.

    Attributes:
        costs: bytes on each GPU of a kind, for each kind that has enough GPUs and whose vendor will do.
        pinned: positions of its pins; empty where it has none.
        least: the smallest number of bytes that it takes over all its GPUs.
    """

    request: GpuRequest
    costs: Mapping[int, int]
    pinned: Positions
    least: int

    @classmethod
    def of(cls, request: GpuRequest, pinned: Positions, inventory: Inventory) -> Item:
        """Work out what *request* costs where."""
        costs = {
            kind: held(request, inventory.example(kind).memory)
            for kind, of in enumerate(inventory.members)
            if len(of) >= request.count and (not request.vendors or inventory.example(kind).vendor in request.vendors)
        }
        least = request.count * min(costs.values(), default=0)
        return cls(request, costs, pinned, least)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.request.model

    @property
    def count(self) -> int:
        """How many GPUs it takes."""
        return self.request.count

    @property
    def part(self) -> int:
        """The smallest number of bytes that it takes of one GPU."""
        return self.least // self.count

    @property
    def shape(self) -> tuple[object, ...]:
        """What tells it from others where it has no pins: items of one shape fit in the same places."""
        return (self.request.always, self.count, *self.costs.items())

    def cost(self, position: int, inventory: Inventory) -> int:
        """Return the bytes that it takes of the GPU at *position*, which is of a kind that will do."""
        return self.costs[inventory.kinds[position]]


def fits(item: Item, room: Sequence[int], inventory: Inventory) -> bool:
    """Return whether *item*, which has no pins, has enough GPUs of one kind with *room*, by position."""
    return any(
        sum(room[position] >= cost for position in inventory.members[kind]) >= item.count
        for kind, cost in item.costs.items()
    )
