"""The servers that a model or shared server becomes, and what each asks of the host's GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.compile.placement import GpuRequest, Resident
from modelgrid.config.schema import Load
from modelgrid.host.facts import Vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelgrid.compile.wanted import Wanted, WantedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One of the servers that a :class:`~modelgrid.compile.wanted.Wanted` becomes."""

    want: Wanted
    number: int

    @property
    def name(self) -> str:
        """What tells it from every other: a shared server and a model may have one name."""
        name = f"server/{self.want.name}" if self.want.shared else self.want.name
        return name if self.number == 1 else f"{name}#{self.number}"

    @property
    def slug(self) -> str:
        """The same for unit names. No slug of a name has a dot."""
        return self.want.slug if self.number == 1 else f"{self.want.slug}.{self.number}"


def replicas(want: Wanted) -> Iterator[Replica]:
    """Yield every server that *want* becomes."""
    return (Replica(want=want, number=number) for number in range(1, want.serving.replicas + 1))


def gpu_request(replica: Replica, *, gpus: int, estimate: Callable[[Wanted, WantedModel], int | None]) -> GpuRequest:
    """Return what *replica* asks for on a host with *gpus* GPUs; a count of 0 where it runs without.

    *estimate*: bytes that a model takes, where nobody gave them and its weights are at hand.
    """
    want, asked = replica.want, replica.want.serving.gpus
    pins = tuple(asked) if isinstance(asked, list) else ()
    count = len(pins) if isinstance(asked, list) else min(1, gpus) if asked is None else asked
    memory, estimated = _memory(want, estimate) if count else (None, False)
    return GpuRequest(
        model=replica.name,
        count=count,
        pins=pins,
        memory=memory,
        estimated=estimated,
        resident=Resident.ON_DEMAND if want.serving.load is Load.ON_DEMAND else Resident.ALWAYS,
        shares="memory_share" in want.engine.options,
        vendors=_vendors(want),
    )


def _memory(want: Wanted, estimate: Callable[[Wanted, WantedModel], int | None]) -> tuple[int | None, bool]:
    """Return the bytes that *want* takes on GPUs, none where not known; and whether they are estimated."""
    if want.serving.vram is not None:
        return want.serving.vram, False
    total, estimated = 0, False
    for model in want.models:
        given = model.fields.vram
        found = estimate(want, model) if given is None else given
        if found is None:
            return None, False
        total += found
        estimated = estimated or given is None
    return total, estimated


def _vendors(want: Wanted) -> frozenset[Vendor]:
    """Return whose GPUs there is an image for; none, which is any, where the image is the user's or there is none."""
    if want.manager is None or want.serving.image is not None:
        return frozenset()
    return frozenset(Vendor(name.partition("-")[0]) for name in want.engine.images) - {Vendor.CPU}
