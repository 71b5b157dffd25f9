"""Hosts and requests for the tests of placement, and what placement means, written a second time and plainly.

Nothing here is shared with the code under test but its data types.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from math import ceil
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from modelgrid.compile.placement import GpuRequest, Placement, Resident
from modelgrid.host.facts import Gpu, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GIB = 1024**3


def gpus(*sizes: int) -> tuple[Gpu, ...]:
    return tuple(
        Gpu(index=index, uuid=f"GPU-{index}", name="test", memory=size * GIB) for index, size in enumerate(sizes)
    )


def always(model: str, memory: int | None, count: int = 1, pins: tuple[str | int, ...] = ()) -> GpuRequest:
    return GpuRequest(model=model, count=len(pins) or count, pins=pins, memory=None if memory is None else memory * GIB)


def on_demand(model: str, memory: int | None, count: int = 1, pins: tuple[str | int, ...] = ()) -> GpuRequest:
    request = always(model, memory, count, pins)
    return GpuRequest(model=model, count=request.count, pins=pins, memory=request.memory, resident=Resident.ON_DEMAND)


def sharing(model: str, memory: int | None, *, resident: Resident = Resident.ALWAYS, count: int = 1) -> GpuRequest:
    size = None if memory is None else memory * GIB
    return GpuRequest(model=model, count=count, memory=size, shares=True, resident=resident)


def where(placement: Placement) -> dict[str, tuple[str, ...]]:
    return {model: tuple(claim.uuid for claim in claims) for model, claims in placement.claims.items()}


# what it means


def share(request: GpuRequest, gpu: Gpu) -> Fraction:
    """The share of *gpu* that the engine is told: enough for its part of the claim, in hundredths."""
    if not request.shares or request.memory is None:
        return Fraction(0)
    part = ceil(Fraction(request.memory, request.count))
    return Fraction(max(1, ceil(Fraction(part, gpu.memory) * 100)), 100)


def taken(request: GpuRequest, gpu: Gpu) -> int:
    """Bytes of *gpu* that the model takes: its part of the claim, or all of the share that its engine is told."""
    if request.memory is None:
        return 0
    return ceil(share(request, gpu) * gpu.memory) if request.shares else ceil(Fraction(request.memory, request.count))


def together(requests: Sequence[GpuRequest], gpu: Gpu, reserve: int) -> bool:
    """Whether all of *requests* may be resident on *gpu* at one time."""
    fits = sum(taken(request, gpu) for request in requests) <= gpu.memory - reserve
    return fits and sum(share(request, gpu) for request in requests) <= 1


def possible(request: GpuRequest, host: Sequence[Gpu]) -> list[tuple[Gpu, ...]]:
    """Every choice of equal GPUs that has the number, the vendors and the pins that are asked for."""
    chosen = []
    for some in combinations(host, request.count):
        equal = len({(gpu.vendor, gpu.name, gpu.memory) for gpu in some}) == 1
        vendors = not request.vendors or some[0].vendor in request.vendors
        pins = {gpu.uuid for gpu in some} | {gpu.index for gpu in some}
        if equal and vendors and set(request.pins) <= pins:
            chosen.append(some)
    return chosen


def placeable(requests: Sequence[GpuRequest], host: Sequence[Gpu], reserve: int) -> bool:
    """Whether any choice of GPUs holds all always-loaded models, and each on-demand one beside them."""
    for choice in product(*(possible(request, host) for request in requests)):
        on = {gpu.uuid: [r for r, some in zip(requests, choice, strict=True) if gpu in some] for gpu in host}
        if all(
            together([r for r in on[gpu.uuid] if r.always or r is one], gpu, reserve)
            for gpu in host
            for one in [None, *on[gpu.uuid]]
        ):
            return True
    return False


def resident_sets(requests: Sequence[GpuRequest], placement: Placement) -> Iterator[list[GpuRequest]]:
    """Every set of placed models that may be resident: the always-loaded ones, and others without a conflict."""
    placed = [request for request in requests if request.model in placement.claims]
    base = [request for request in placed if request.always]
    rest = [request for request in placed if not request.always]
    conflicts = set(placement.conflict_pairs())
    for size in range(len(rest) + 1):
        for some in combinations(rest, size):
            names = sorted(request.model for request in some)
            if not conflicts & set(combinations(names, 2)):
                yield [*base, *some]


# cases

KINDS = (("A", 10, Vendor.NVIDIA), ("A", 10, Vendor.NVIDIA), ("A", 16, Vendor.NVIDIA), ("M", 16, Vendor.AMD))


@st.composite
def hosts(draw: st.DrawFn, most: int = 4) -> tuple[Gpu, ...]:
    """GPUs of a few bytes, so that sums meet the limits often."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=most))
    return tuple(
        Gpu(index=index, uuid=f"GPU-{index}", name=name, memory=memory, vendor=vendor)
        for index, (name, memory, vendor) in enumerate(kinds)
    )


@st.composite
def requests_on(draw: st.DrawFn, host: tuple[Gpu, ...], most: int = 5) -> list[GpuRequest]:
    return [draw(_request(f"m{number}", host)) for number in range(draw(st.integers(0, most)))]


@st.composite
def _request(draw: st.DrawFn, name: str, host: tuple[Gpu, ...]) -> GpuRequest:
    count = draw(st.sampled_from((1, 1, 1, 2, 2, 3)))
    pins: tuple[str | int, ...] = ()
    if draw(st.integers(0, 4)) == 0:
        names: list[str | int] = [gpu.uuid if draw(st.booleans()) else gpu.index for gpu in host]
        pins = tuple(draw(st.permutations(names))[:count])
        count = len(pins)
    size = draw(st.one_of(st.none(), st.integers(1, 11), st.integers(4, 7)))
    return GpuRequest(
        model=name,
        count=count,
        pins=pins,
        memory=None if size is None else size * count - draw(st.integers(0, count - 1)),
        resident=draw(st.sampled_from(Resident)),
        shares=draw(st.booleans()),
        vendors=draw(st.sampled_from((frozenset[Vendor](), frozenset[Vendor](), frozenset({Vendor.NVIDIA})))),
    )


@st.composite
def cases(draw: st.DrawFn, models: int = 5) -> tuple[list[GpuRequest], tuple[Gpu, ...]]:
    host = draw(hosts())
    return draw(requests_on(host, models)), host


@st.composite
def full_cases(draw: st.DrawFn, most: int = 3, models: int = 7) -> tuple[list[GpuRequest], tuple[Gpu, ...]]:
    """Hosts filled to the last byte or nearly, so that there is a placement, and few others."""
    memory = draw(st.sampled_from(((10, 10, 10, 10), (10, 10, 13, 13), (16, 16, 16, 16))))
    host = tuple(
        Gpu(index=index, uuid=f"GPU-{index}", name="A", memory=memory[index])
        for index in range(draw(st.integers(2, most)))
    )
    left = [gpu.memory for gpu in host]
    parts: list[tuple[int, tuple[int, ...], Resident]] = []
    while len(parts) < models and any(left):
        open_ = [index for index, room in enumerate(left) if room]
        first = draw(st.sampled_from(open_))
        equal = [index for index in open_ if memory[index] == memory[first]]
        places = tuple(sorted(equal[: draw(st.sampled_from((1, 1, 1, 2)))])) if draw(st.booleans()) else (first,)
        room = min(left[index] for index in places)
        last = len(parts) >= models - len(host)
        size = room if last else draw(st.integers(min(2, room), max(min(2, room), min(room, memory[first] * 2 // 3))))
        resident = Resident.ON_DEMAND if draw(st.integers(0, 6)) == 0 else Resident.ALWAYS
        parts.append((size, places, resident))
        if resident is Resident.ALWAYS:
            for index in places:
                left[index] -= size
        elif last:
            break
    # an on-demand model needs its room beside what came after it as well
    parts = [
        (size if resident is Resident.ALWAYS else min(size, *(left[i] for i in places)), places, resident)
        for size, places, resident in parts
    ]
    requests = [
        GpuRequest(
            model=f"m{number}",
            count=len(places),
            memory=size * len(places),
            pins=places if draw(st.integers(0, 9)) == 0 else (),
            resident=resident,
        )
        for number, (size, places, resident) in enumerate(parts)
        if size
    ]
    return requests, host
