"""Which model gets which GPUs, so that what all of them claim fits.

Every model is taken as always loaded. Pinned models are placed first, then those with the largest claims;
each free model takes the lowest GPUs that have room, and one of unknown size those where most is left, of these
those with the fewest models. So the result follows from the input alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.ir import GpuClaim
from modelgrid.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelgrid.host.facts import Gpu


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRequest:
    """What a model asks for.

    Attributes:
        model: the model's name.
        count: how many GPUs, at least 1; *pins* has as many entries when it is not empty.
        pins: UUIDs or indices of the GPUs that it must have.
        memory: bytes over all its GPUs; none where it is not known, which claims nothing.
    """

    model: str
    count: int
    pins: tuple[str | int, ...] = ()
    memory: int | None = None

    @property
    def share(self) -> int:
        """Bytes on each GPU, rounded up."""
        return -(-(self.memory or 0) // self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementFault:
    """Why *model* has no place. *unknown_gpu* tells a name that the host lacks from a lack of room."""

    model: str
    message: str
    unknown_gpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Claims by model, and the models that found no place."""

    claims: Mapping[str, tuple[GpuClaim, ...]]
    faults: tuple[PlacementFault, ...]


def place(requests: Iterable[GpuRequest], gpus: tuple[Gpu, ...]) -> Placement:
    """Give each request its GPUs."""
    free = {gpu.uuid: gpu.memory for gpu in gpus}
    claims: dict[str, tuple[GpuClaim, ...]] = {}
    faults: list[PlacementFault] = []
    for request in sorted(requests, key=lambda item: (not item.pins, -item.share, item.model)):
        chosen = _pinned(request, gpus) if request.pins else _free(request, gpus, free, claims)
        if isinstance(chosen, PlacementFault):
            faults.append(chosen)
            continue
        short = [gpu for gpu in chosen if free[gpu.uuid] < request.share]
        if short:
            faults.append(_no_room(request, gpus, claims))
            continue
        for gpu in chosen:
            free[gpu.uuid] -= request.share
        claims[request.model] = tuple(GpuClaim(uuid=gpu.uuid, memory=request.share) for gpu in chosen)
    return Placement(claims=claims, faults=tuple(faults))


def _pinned(request: GpuRequest, gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...] | PlacementFault:
    by_name: dict[str | int, Gpu] = {gpu.uuid: gpu for gpu in gpus} | {gpu.index: gpu for gpu in gpus}
    missing = [pin for pin in request.pins if pin not in by_name]
    if missing:
        known = ", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in gpus) or "none"
        return PlacementFault(
            model=request.model,
            message=f"the host has no GPU {missing[0]!r}; it has: {known}",
            unknown_gpu=True,
        )
    chosen = tuple(by_name[pin] for pin in request.pins)
    if len({gpu.uuid for gpu in chosen}) < len(chosen):
        return PlacementFault(model=request.model, message="one GPU is named twice", unknown_gpu=True)
    return chosen


def _free(
    request: GpuRequest,
    gpus: tuple[Gpu, ...],
    free: Mapping[str, int],
    claims: Mapping[str, tuple[GpuClaim, ...]],
) -> tuple[Gpu, ...] | PlacementFault:
    if request.count > len(gpus):
        return PlacementFault(
            model=request.model,
            message=f"{request.model} asks for {request.count} GPUs and the host has {len(gpus)}",
            unknown_gpu=True,
        )
    with_room = [gpu for gpu in gpus if free[gpu.uuid] >= request.share]
    if request.memory is None:
        # its size is not known: it goes where most is left, and where the fewest others of unknown size may be
        models = Counter(claim.uuid for of in claims.values() for claim in of)
        with_room.sort(key=lambda gpu: (-free[gpu.uuid], models[gpu.uuid], gpu.index))
    chosen = (with_room + [gpu for gpu in gpus if gpu not in with_room])[: request.count]
    return tuple(sorted(chosen, key=lambda gpu: gpu.index))


def _no_room(request: GpuRequest, gpus: tuple[Gpu, ...], claims: Mapping[str, tuple[GpuClaim, ...]]) -> PlacementFault:
    lines = []
    for gpu in gpus:
        held = [
            f"{name} {format_size(claim.memory)}"
            for name, of in claims.items()
            for claim in of
            if claim.uuid == gpu.uuid
        ]
        lines.append(
            f"GPU {gpu.index} has {format_size(gpu.memory)}" + (f", taken by {', '.join(held)}" if held else "")
        )
    each = "on each of them " if request.count > 1 else ""
    return PlacementFault(
        model=request.model,
        message=f"{request.model} needs {format_size(request.share)} {each}and does not fit: {'; '.join(lines)}",
    )
