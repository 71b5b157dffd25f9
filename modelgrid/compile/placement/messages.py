"""Why a model found no place, in one sentence with all numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.compile.placement.result import FaultKind, PlacementFault
from modelgrid.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.compile.placement.inventory import Inventory, Item
    from modelgrid.compile.placement.wants import GpuRequest

_GPUS_SHOWN = 8
_MODELS_SHOWN = 4
_TOGETHER_SHOWN = 8


def unknown_pin(request: GpuRequest, pin: str | int, inventory: Inventory) -> PlacementFault:
    """Say that the host lacks the GPU *pin*."""
    known = ", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in inventory.gpus) or "none"
    return _fault(request, FaultKind.UNKNOWN_GPU, f"the host has no GPU {pin!r}; it has: {known}")


def pinned_twice(request: GpuRequest) -> PlacementFault:
    """Say that two pins are one GPU."""
    return _fault(request, FaultKind.UNKNOWN_GPU, "one GPU is named twice")


def too_few(request: GpuRequest, inventory: Inventory) -> PlacementFault:
    """Say that the host, or its GPUs of the right vendors, are fewer than *request* wants, or not equal."""
    usable = [gpu for gpu in inventory.gpus if not request.vendors or gpu.vendor in request.vendors]
    model, vendors = request.model, " or ".join(sorted(vendor.value for vendor in request.vendors))
    asks = f"{model} asks for {request.count} GPU{'s' if request.count > 1 else ''}"
    if request.count > len(inventory.gpus):
        return _fault(request, FaultKind.UNKNOWN_GPU, f"{asks} and the host has {len(inventory.gpus)}")
    if request.count > len(usable):
        message = f"{asks} of {vendors}, which its engine runs on, and the host has {len(usable)}"
        return _fault(request, FaultKind.UNKNOWN_GPU, message)
    kinds = [kind for kind, of in enumerate(inventory.members) if inventory.gpus[of[0]] in usable]
    of_each = ", ".join(f"{len(inventory.members[kind])} of {_kind(kind, inventory)}" for kind in kinds)
    return _fault(request, FaultKind.UNEQUAL, f"{asks}, which must be equal, and the host has {of_each}")


def unequal_pins(request: GpuRequest, positions: Sequence[int], inventory: Inventory) -> PlacementFault:
    """Say in what the pinned GPUs differ."""
    each = ", ".join(
        f"GPU {inventory.gpus[position].index} is {_kind(inventory.kinds[position], inventory)}"
        for position in sorted(positions)
    )
    return _fault(request, FaultKind.UNEQUAL, f"{request.model} is split evenly over GPUs that are not equal: {each}")


def wrong_vendor(request: GpuRequest, position: int, inventory: Inventory) -> PlacementFault:
    """Say that the engine does not run on a pinned GPU."""
    gpu = inventory.gpus[position]
    vendors = " or ".join(sorted(vendor.value for vendor in request.vendors))
    message = f"{request.model} is pinned to GPU {gpu.index} of {gpu.vendor.value}, and its engine runs on {vendors}"
    return _fault(request, FaultKind.UNKNOWN_GPU, message)


def no_room(
    item: Item,
    inventory: Inventory,
    left: Sequence[int],
    holders: Sequence[Sequence[Item]],
    core: Sequence[str],
) -> PlacementFault:
    """Say that there is proof that *item* has no place.

    Args:
        left: by position, bytes that *item* could have.
        holders: by position, what takes memory there, the largest first.
        core: models that leave it no place in any arrangement; empty where none is needed, or they are not known.
    """
    message = f"{_needs(item)} and does not fit: {_gpus(item, inventory, left, holders)}"
    shown = {other.name for of in holders[:_GPUS_SHOWN] for other in of[:_MODELS_SHOWN]}
    if core and set(core) != shown:
        first = core if len(core) <= _TOGETHER_SHOWN else core[: _TOGETHER_SHOWN - 1]
        hidden = len(core) - len(first)
        names = ", ".join(first) + (f", {hidden} more models" if hidden else "")
        message += f"; no arrangement holds {names} and {item.name} together"
    return _fault(item.request, FaultKind.NO_ROOM, message, (*sorted(core), item.name))


def undecided(
    item: Item, inventory: Inventory, left: Sequence[int], holders: Sequence[Sequence[Item]]
) -> PlacementFault:
    """Say that the search ended before it found a place for *item* or proof that there is none."""
    message = (
        f"{_needs(item)}, and no place for it was found, nor proof that there is none:"
        f" {_gpus(item, inventory, left, holders)}"
    )
    return _fault(item.request, FaultKind.UNDECIDED, message)


def _needs(item: Item) -> str:
    request = item.request
    estimated = " (estimated)" if request.estimated else ""
    each = " on each of them" if item.pinned and item.count > 1 else f" on each of {item.count} equal GPUs"
    return f"{item.name} needs {format_size(request.each)}{estimated}{each if item.count > 1 else ''}"


def _gpus(item: Item, inventory: Inventory, left: Sequence[int], holders: Sequence[Sequence[Item]]) -> str:
    usable = item.costs.keys()
    shown = [position for position in item.pinned or range(len(inventory.gpus)) if inventory.kinds[position] in usable]
    lines = []
    for position in shown[:_GPUS_SHOWN]:
        gpu, of = inventory.gpus[position], holders[position]
        line = f"GPU {gpu.index} has {format_size(gpu.memory)}"
        if of:
            names = [
                f"{other.name} {format_size(other.cost(position, inventory))}"
                + (" (estimated)" if other.request.estimated else "")
                + ("" if other.request.always else " (on-demand)")
                for other in of[:_MODELS_SHOWN]
            ]
            more = len(of) - len(names)
            line += f", taken by {', '.join(names)}{f' and {more} more models' if more else ''}"
        if of or left[position] != gpu.memory:
            line += f", {format_size(max(0, left[position]))} left"
        lines.append(line)
    hidden = len(shown) - len(lines)
    return "; ".join(lines) + (f"; and {hidden} more GPUs" if hidden else "")


def _kind(kind: int, inventory: Inventory) -> str:
    gpu = inventory.example(kind)
    return f"{gpu.name} ({gpu.vendor.value}, {format_size(gpu.memory)})"


def _fault(request: GpuRequest, kind: FaultKind, message: str, together: tuple[str, ...] = ()) -> PlacementFault:
    return PlacementFault(model=request.model, kind=kind, message=message, together=together)
