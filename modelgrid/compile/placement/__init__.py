"""Which model gets which GPUs, so that whatever may be resident together fits: a pure function, and its result.

What is proven, for every GPU: all always-loaded models and any set of on-demand models of which no two are in
conflict take at most the memory of the GPU, less the reserve. A model is refused only where a complete search
found no arrangement of the models before it that leaves it room; where the search ends early, the fault says so.

The order: pinned models first, then always-loaded ones by number of GPUs and size, then on-demand ones. Each takes
its place by the strategy; only where none is free are models without pins rearranged. So a new model moves none
that comes before it unless it must, and the order of the file plays no part.
"""

from __future__ import annotations

from modelgrid.compile.placement.placing import place
from modelgrid.compile.placement.result import FaultKind, GpuRow, GpuUse, Placement, PlacementFault
from modelgrid.compile.placement.wants import GpuRequest, Resident, Strategy

__all__ = [
    "FaultKind",
    "GpuRequest",
    "GpuRow",
    "GpuUse",
    "Placement",
    "PlacementFault",
    "Resident",
    "Strategy",
    "place",
]
