"""What the servers take of the GPUs, written for those who have to make room for a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.artifact import Artifact
from modelgrid.placement_record import PLACEMENT, PlacementRecord, RecordedGpu, RecordedServer, dump_placement

if TYPE_CHECKING:
    from modelgrid.ir import Deployment


def placement(deployment: Deployment) -> Artifact:
    """Return the record of *deployment*: its GPUs by index, its servers by unit."""
    gpus = [
        RecordedGpu(uuid=gpu.uuid, index=gpu.index, name=gpu.name, memory=gpu.memory, reserve=gpu.reserve)
        for gpu in deployment.gpus
    ]
    servers = [
        RecordedServer(
            unit=server.unit,
            models=server.models,
            claims={claim.uuid: claim.held for claim in server.claims},
            on_demand=server.on_demand,
            turns_with=server.conflicts,
        )
        for server in deployment.servers
    ]
    record = PlacementRecord(
        gpus=tuple(sorted(gpus, key=lambda gpu: (gpu.index, gpu.uuid))),
        servers=tuple(sorted(servers, key=lambda server: server.unit)),
    )
    return Artifact(path=PLACEMENT, content=dump_placement(record))
