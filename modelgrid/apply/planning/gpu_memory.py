"""What each GPU holds before a change and after it, by the placement records of both trees. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelgrid.placement_record import PLACEMENT, PlacementRecord, PlacementRecordError, load_placement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelgrid.emit.artifact import Artifact
    from modelgrid.placement_record import RecordedGpu, RecordedServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is held of one GPU, in bytes: from the *start* on, and at the *peak*, with what is loaded on demand."""

    start: int = 0
    peak: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMemory:
    """What one server takes of a GPU, in bytes; none where it takes nothing of it, 0 where that is not known."""

    unit: str
    models: tuple[str, ...]
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuChange:
    """One GPU before and after. *servers* are those that take of it, sorted by unit."""

    gpu: RecordedGpu
    before: Held
    after: Held
    servers: tuple[ServerMemory, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has; sizes in bytes."""
        return {
            "index": self.gpu.index,
            "uuid": self.gpu.uuid,
            "name": self.gpu.name,
            "memory": self.gpu.memory,
            "reserve": self.gpu.reserve,
            "before": {"start": self.before.start, "peak": self.before.peak},
            "after": {"start": self.after.start, "peak": self.after.peak},
            "servers": [
                {"unit": item.unit, "models": list(item.models), "before": item.before, "after": item.after}
                for item in self.servers
            ],
        }


def memory_changes(desired: Sequence[Artifact], current: Sequence[Artifact] | None) -> tuple[GpuChange, ...]:
    """Return every GPU that one of the trees knows, by its number."""
    before, after = placement_of(current or ()), placement_of(desired)
    gpus = {gpu.uuid: gpu for gpu in (*before.gpus, *after.gpus)}
    return tuple(
        GpuChange(
            gpu=gpu,
            before=held(before.servers, gpu.uuid),
            after=held(after.servers, gpu.uuid),
            servers=_servers(before, after, gpu.uuid),
        )
        for gpu in sorted(gpus.values(), key=lambda gpu: (gpu.index, gpu.uuid))
    )


def placement_of(tree: Iterable[Artifact]) -> PlacementRecord:
    """Return the placement record of *tree*; an empty one where it has none that can be read."""
    for item in tree:
        if item.path == PLACEMENT:
            try:
                return load_placement(item.content)
            except PlacementRecordError:
                break
    return PlacementRecord()


def held(servers: Iterable[RecordedServer], uuid: str) -> Held:
    """Return what *servers* hold of GPU *uuid*: of those that take turns on it, the largest counts at the peak."""
    here = [server for server in servers if uuid in server.claims]
    units = {server.unit for server in here}
    start = sum(server.claims[uuid] for server in here if not server.on_demand)
    demand = [server for server in here if server.on_demand]
    turns = [server for server in demand if units.intersection(server.turns_with)]
    free = [server for server in demand if server not in turns]
    peak = start + sum(server.claims[uuid] for server in free) + max((s.claims[uuid] for s in turns), default=0)
    return Held(start=start, peak=peak)


def _servers(before: PlacementRecord, after: PlacementRecord, uuid: str) -> tuple[ServerMemory, ...]:
    old = {server.unit: server for server in before.servers if uuid in server.claims}
    new = {server.unit: server for server in after.servers if uuid in server.claims}
    return tuple(
        ServerMemory(
            unit=unit,
            models=(new.get(unit) or old[unit]).models,
            before=old[unit].claims[uuid] if unit in old else None,
            after=new[unit].claims[uuid] if unit in new else None,
        )
        for unit in sorted(old.keys() | new.keys())
    )
