"""From requests to the finished placement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.compile.placement import messages
from modelgrid.compile.placement.arrangement import Arrangement
from modelgrid.compile.placement.choice import Load, choose
from modelgrid.compile.placement.inventory import Inventory, Item
from modelgrid.compile.placement.residents import conflict_groups, gpu_use, residents, start_order
from modelgrid.compile.placement.result import Placement, PlacementFault
from modelgrid.compile.placement.wants import GpuRequest, Strategy, hundredths
from modelgrid.ir import GpuClaim

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelgrid.compile.placement.inventory import Positions
    from modelgrid.host.facts import Gpu

#: States that all searches of one placement may enter; about a second of a slow machine.
BUDGET = 40_000


def place(
    requests: Iterable[GpuRequest],
    gpus: Iterable[Gpu],
    *,
    strategy: Strategy = Strategy.BINPACK,
    reserve: int = 0,
    budget: int = BUDGET,
) -> Placement:
    """Give each request its GPUs; names of models and of GPUs are distinct.

    Args:
        reserve: bytes of each GPU that no model may have. 0 leaves out nothing: a claim, also an estimated one,
            counts what its process takes, with the context that the driver gives it.
        budget: how many states the searches may enter in all before they give up.
    """
    inventory = Inventory.of(gpus, reserve)
    run = Arrangement(inventory, strategy, budget)
    items = []
    for request in requests:
        item = _item(request, inventory)
        if isinstance(item, PlacementFault):
            run.faults.append(item)
        else:
            items.append(item)
    run.faults.sort(key=lambda fault: fault.model)
    for item in sorted(items, key=_order):
        run.add(item)
    return _result(run, strategy, reserve)


def _order(item: Item) -> tuple[object, ...]:
    request = item.request
    return (not item.pinned, not request.always, request.memory is None, -item.count, -item.least, item.name)


def _item(request: GpuRequest, inventory: Inventory) -> Item | PlacementFault:
    """Look up the pins of *request*, and check that the host has GPUs of the right number and kind."""
    by_name: dict[str | int, int] = {}
    for position, gpu in enumerate(inventory.gpus) if request.pins else ():
        by_name[gpu.uuid] = by_name[gpu.index] = position
    missing = [pin for pin in request.pins if pin not in by_name]
    if missing:
        return messages.unknown_pin(request, missing[0], inventory)
    pinned = tuple(sorted({by_name[pin] for pin in request.pins}))
    if len(pinned) < len(request.pins):
        return messages.pinned_twice(request)
    for position in pinned:
        if request.vendors and inventory.gpus[position].vendor not in request.vendors:
            return messages.wrong_vendor(request, position, inventory)
    if len({inventory.kinds[position] for position in pinned}) > 1:
        return messages.unequal_pins(request, pinned, inventory)
    item = Item.of(request, pinned, inventory)
    return item if item.costs else messages.too_few(request, inventory)


def _result(run: Arrangement, strategy: Strategy, reserve: int) -> Placement:
    """Place what is left, and return the whole."""
    inventory, places = run.inventory, dict(run.places)
    items = run.pinned | run.movable
    load = Load(run.beside_always(), list(run.load.models))
    for name, item in run.pinned.items():
        if not item.request.always:
            for position in places[name]:
                load.room[position] -= item.cost(position, inventory)
    limit = run.beside_always()
    for item in (*run.demands, *run.unknown):
        chosen = choose(item, inventory, limit, load, strategy)
        assert chosen is not None, item.name  # it was found to fit when it was taken in
        load.add(item, chosen, inventory)
        places[item.name], items[item.name] = chosen, item
    on: list[list[Item]] = [[] for _ in inventory.gpus]
    for name, of in places.items():
        for position in of:
            on[position].append(items[name])
    parts = [residents(of, position, inventory) for position, of in enumerate(on)]
    assert all(part.peak <= room for part, room in zip(parts, inventory.capacity, strict=True))
    shares = {name: hundredths(items[name].request, inventory.gpus[of[0]].memory) for name, of in places.items()}
    return Placement(
        claims={name: _claims(items[name], places[name], inventory) for name in sorted(places)},
        shares={name: share for name, share in sorted(shares.items()) if share is not None},
        conflicts=conflict_groups(parts),
        starts_after=start_order(places, items, parts),
        gpus=tuple(gpu_use(part, position, inventory, reserve) for position, part in enumerate(parts)),
        faults=tuple(run.faults),
    )


def _claims(item: Item, places: Positions, inventory: Inventory) -> tuple[GpuClaim, ...]:
    return tuple(
        GpuClaim(uuid=inventory.gpus[position].uuid, memory=item.request.each, held=item.cost(position, inventory))
        for position in places
    )
