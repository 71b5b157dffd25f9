"""What placement returns: claims, a table for each GPU, conflicts, the order of starts, faults."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.compile.placement.wants import Resident
    from modelgrid.host.facts import Gpu
    from modelgrid.ir import GpuClaim


class FaultKind(Enum):
    """Why a model has no place."""

    UNKNOWN_GPU = "unknown GPU"
    UNEQUAL = "GPUs are not equal"
    NO_ROOM = "no room"
    UNDECIDED = "not decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementFault:
    """Why *model* has no place.

    Attributes:
        kind: what was wrong. NO_ROOM is proven; UNDECIDED says that the search ended before it knew.
        message: one sentence with all numbers.
        together: models that no arrangement holds together, *model* the last; not longer than it must be where the
            search could tell. *model* alone where it is too large by itself, or they are too many to name.
    """

    model: str
    kind: FaultKind
    message: str
    together: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRow:
    """One model on one GPU.

    Attributes:
        memory: bytes that it takes there; none where not known.
        share: hundredths of the GPU's memory that its engine is told; none where it takes no share.
        estimated: whether *memory* comes from an estimate.
        alternates: whether it is in conflict with others on this GPU: starting one of them stops the others.
    """

    model: str
    memory: int | None
    share: int | None
    resident: Resident
    estimated: bool
    alternates: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """What one GPU holds, in bytes.

    Attributes:
        reserve: kept free of models.
        rows: always-loaded models first, then by size and name.
        always: what is taken from the start on.
        peak: most that may be resident at one time; at most the memory less the reserve.
        share: most hundredths that engines with shares may be told at one time; at most 100.
    """

    gpu: Gpu
    reserve: int
    rows: tuple[GpuRow, ...]
    always: int
    peak: int
    share: int

    @property
    def free(self) -> int:
        """Bytes that are left when most is resident."""
        return self.gpu.memory - self.reserve - self.peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where every model goes.

    Attributes:
        claims: by model; *memory* of a claim is what was asked for, also where the engine fills its share.
        shares: hundredths of each of its GPUs that an engine with shares is told, by model.
        conflicts: groups of on-demand models of which only one may be resident; sorted. A group is one GPU's, and a
            model on several GPUs can be in several.
        starts_after: the models that must have started before this one measures free memory, by model. Only engines
            with shares are in it; it has no cycle.
        gpus: by index.
        faults: models without a place, in the order in which they were tried.
    """

    claims: Mapping[str, tuple[GpuClaim, ...]]
    shares: Mapping[str, int]
    conflicts: tuple[tuple[str, ...], ...]
    starts_after: Mapping[str, tuple[str, ...]]
    gpus: tuple[GpuUse, ...]
    faults: tuple[PlacementFault, ...]

    def conflicting(self, model: str) -> frozenset[str]:
        """Return the models that must not be resident beside *model*."""
        return frozenset(other for group in self.conflicts if model in group for other in group) - {model}

    def conflict_pairs(self) -> tuple[tuple[str, str], ...]:
        """Return every two models that must not be resident together, once and sorted."""
        return tuple(sorted({pair for group in self.conflicts for pair in combinations(group, 2)}))
