"""``status``: what this host runs, and how it differs from what was applied to it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply import observe
from modelgrid.apply.host import this_host
from modelgrid.apply.probation import probation_line
from modelgrid.cli.output import note, result, result_json, table
from modelgrid.cli.pipeline import scope_of

if TYPE_CHECKING:
    import argparse

    from modelgrid.apply.drift import Drift
    from modelgrid.apply.observe import UnitStatus

#: Exit code of `status` when a unit is down or failed, or when the host differs from what was applied.
AMISS = 2


def run_status(options: argparse.Namespace) -> int:
    """Show the state of every unit of the current generation; exit 0 where all is as it should be, else 2."""
    host = this_host(scope_of(options))
    status = observe.status(host)
    drift = None
    if options.drift or options.metrics is not None:
        from modelgrid.apply.drift import find_drift  # noqa: PLC0415  most calls ask for no drift

        drift = find_drift(host)
    if drift is not None and options.metrics is not None:
        from modelgrid.apply.drift.metrics import write_metrics  # noqa: PLC0415  only where they are asked for

        write_metrics(host, Path(options.metrics).absolute(), status, drift)
    if options.json:
        result_json({**status.to_dict(), **(drift.to_dict() if drift is not None else {})})
    elif status.generation is None:
        note("nothing is applied on this host")
    else:
        _show(status)
        if drift is not None:
            _show_drift(drift)
    return AMISS if status.amiss or (drift is not None and drift.findings) else 0


def _show(status: observe.Status) -> None:
    note(f"generation {status.generation}; at boot it {'starts' if status.boots else 'does not start'}")
    if status.interrupted:
        note("a change is under way, or was killed: modelgrid recover or the next apply finishes it or takes it back")
    if status.probation is not None:
        note(probation_line(status.probation))
    rows = [(item.unit, item.model or "-", _state(item), _ago(item.since)) for item in status.units]
    result(table(rows, ("UNIT", "MODEL", "STATE", "SINCE")))


def _show_drift(drift: Drift) -> None:
    result("drift:" if drift.findings else "no drift")
    for item in drift.findings:
        result(f"  {item.kind.value:18} {item.message}")
        result(f"  {'':18} to mend it: {item.mend}")
    for line in drift.unseen:
        note(f"note: {line}")


def _state(item: UnitStatus) -> str:
    # that it is down as well, or was killed when it was masked, is no news
    return "masked" if item.state.masked else f"{item.state.active} ({item.state.sub})"


def _ago(since: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since)) if since else "-"
