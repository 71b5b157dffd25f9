"""Status and drift as metrics: a file in the text format of Prometheus, for node_exporter's textfile collector."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from modelgrid.apply.store.files import replace_file
from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from modelgrid.apply.drift import Drift
    from modelgrid.apply.host import Host
    from modelgrid.apply.observe import Status


def write_metrics(host: Host, path: Path, status: Status, drift: Drift) -> None:
    """Write the metrics to *path* in one step, so that no reader sees a part of them. The folder must be there.

    Raises:
        HostError: the file cannot be written.
    """
    text = render_metrics(status, drift, now=host.now().timestamp())
    try:
        replace_file(host.files, path, text.encode(), 0o644)
    except OSError as error:
        raise HostError(
            f"cannot write the metrics to {path}: {error.strerror or error}",
            hint="make the folder that node_exporter's textfile collector reads, and name a file in it",
        ) from error


def render_metrics(status: Status, drift: Drift, *, now: float) -> str:
    """Return the metrics; *now* is the time of the look, in seconds of the epoch.

    The form is that of prometheus.io/docs/instrumenting/exposition_formats, without times on samples, which the
    collector refuses.
    """
    counted = Counter((item.kind.value, item.unit, item.model) for item in drift.findings)
    findings = [
        (_labels(kind=kind, unit=unit, model=model), str(count))
        for (kind, unit, model), count in sorted(counted.items())
    ]
    up = [
        (_labels(unit=item.unit, model=item.model), "1" if item.state.up else "0")
        for item in status.units
        if item.wanted
    ]
    metrics = (
        ("modelgrid_drift", "Differences between the host and what was applied to it.", findings),
        ("modelgrid_drift_findings", "How many differences there are in all.", [("", str(len(drift.findings)))]),
        ("modelgrid_unit_up", "Whether a unit that is wanted is up.", up),
        ("modelgrid_generation", "Current generation; 0 for none.", [("", str(status.generation or 0))]),
        ("modelgrid_generation_confirmed", "Last healthy generation; 0 for none.", [("", str(status.confirmed or 0))]),
        ("modelgrid_status_timestamp_seconds", "When this was looked at.", [("", f"{now:.3f}")]),
    )
    return "".join(line for name, text, samples in metrics for line in _metric(name, text, samples))


def _metric(name: str, text: str, samples: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        yield f"{name}{labels} {value}\n"


def _labels(**values: str) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())
    return f"{{{pairs}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
