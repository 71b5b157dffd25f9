"""What models ask of GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelgrid.host.facts import Vendor


class Resident(Enum):
    """When a model is in memory: from the start on, or from its first request on."""

    ALWAYS = "always"
    ON_DEMAND = "on-demand"


class Strategy(Enum):
    """Where a model goes that fits on several GPUs: where least is left, on few GPUs, or where most is left."""

    BINPACK = "binpack"
    SPREAD = "spread"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRequest:
    """What a model asks for.

    Attributes:
        model: the model's name.
        count: how many equal GPUs, at least 1; *pins* has as many entries when it is not empty.
        pins: UUIDs or indices of the GPUs that it must have.
        memory: bytes over all its GPUs, split evenly; none where it is not known, which claims nothing.
        estimated: whether *memory* was worked out from the model's files and not given.
        resident: when it is in memory.
        shares: whether the engine is told a share of the GPU's memory and takes all of it, as vLLM does with
            ``--gpu-memory-utilization``; such engines measure the free memory while they start.
        vendors: whose GPUs the engine runs on; empty where on any.
    """

    model: str
    count: int
    pins: tuple[str | int, ...] = ()
    memory: int | None = None
    estimated: bool = False
    resident: Resident = Resident.ALWAYS
    shares: bool = False
    vendors: frozenset[Vendor] = frozenset()

    @property
    def each(self) -> int:
        """Bytes on each GPU, rounded up; 0 where not known."""
        return -(-(self.memory or 0) // self.count)

    @property
    def always(self) -> bool:
        """Whether it is loaded from the start on."""
        return self.resident is Resident.ALWAYS


def hundredths(request: GpuRequest, memory: int) -> int | None:
    """Return the share of a GPU with *memory* bytes that the engine is told, in hundredths and rounded up.

    None where the engine takes no share, or the claim is not known. More than 100 where it does not fit.
    """
    if not request.shares or request.memory is None or memory <= 0:
        return None
    return max(1, -(-request.each * 100 // memory))


def held(request: GpuRequest, memory: int) -> int:
    """Return the bytes that the model takes of a GPU with *memory* bytes.

    An engine with a share fills all of it, which is more than the claim by up to a hundredth of the GPU. So where
    the bytes that are held fit, the shares sum to at most 1.
    """
    share = hundredths(request, memory)
    return request.each if share is None else -(-share * memory // 100)
