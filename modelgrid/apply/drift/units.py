"""Drift of units: masked, down, failed, or loaded from older files than those on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.drift.values import DriftKind, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.units import Unit
    from modelgrid.apply.systemd import UnitState


def unit_drift(host: Host, units: Mapping[str, Unit], states: Mapping[str, UnitState]) -> Iterator[Finding]:
    """Yield what differs between *units* of the current generation and what systemd has of them."""
    for name, unit in units.items():
        state = states[name]
        if state.masked:
            # the administrator's word: that it is down as well is no news
            yield _finding(DriftKind.MASKED, unit, f"{name} is masked", f"systemctl unmask {name}, then apply")
            continue
        if state.failing:
            result = host.systemd.result(name)
            said = f"{name} failed ({result})" if result not in {"", "success"} else f"{name} failed"
            yield _finding(DriftKind.FAILED, unit, said, f"see why with journalctl -u {name}; apply starts it again")
        elif unit.wanted and state.down:
            yield _finding(DriftKind.NOT_RUNNING, unit, f"{name} is not running", "apply starts it")
        if state.load != "not-found" and host.systemd.needs_reload(name):
            yield _finding(
                DriftKind.NEEDS_RELOAD,
                unit,
                f"systemd has read older files of {name} than those on the disk",
                "systemctl daemon-reload, after a look at what changed",
            )


def _finding(kind: DriftKind, unit: Unit, message: str, mend: str) -> Finding:
    return Finding(kind=kind, message=message, mend=mend, unit=unit.name, model=unit.model)
