"""What a plan means: why each unit is touched, what the GPUs hold, for how long models are away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.apply.observe import current_tree
from modelgrid.apply.planning.because import Because, explain
from modelgrid.apply.planning.downtime import Downtime, downtimes
from modelgrid.apply.planning.gpu_memory import GpuChange, memory_changes
from modelgrid.apply.planning.units import Role, units_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.plan import Plan
    from modelgrid.emit.artifact import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a plan means. *because* is by unit, *memory* by the number of the GPU, *downtimes* by model."""

    because: Mapping[str, Because]
    memory: tuple[GpuChange, ...]
    downtimes: tuple[Downtime, ...]


def look_ahead(plan: Plan, desired: Sequence[Artifact], host: Host) -> Outlook:
    """Return what *plan*, which leads from what *host* runs now to *desired*, means.

    Raises:
        HostError: systemd does not answer.
    """
    current = current_tree(host, known=desired)
    units = units_of(current or ())
    touched = {action.unit for action in plan.actions}
    running = [name for name in touched if name in units and units[name].role in {Role.SERVICE, Role.GATEWAY}]
    started = {name: host.systemd.start_seconds(name) for name in sorted(running)}
    return Outlook(
        because=explain(plan, desired, current),
        memory=memory_changes(desired, current),
        downtimes=downtimes(plan, desired, current, started),
    )
