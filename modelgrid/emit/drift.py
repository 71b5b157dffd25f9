"""The timer that looks for drift, and the service that it starts.

The service asks podman about its containers, as root: podman takes one without CAP_SYS_ADMIN for rootless
(containers/storage, pkg/unshare, IsRootless), and mounts its storage anew, in a namespace that nobody else sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit import names
from modelgrid.emit.artifact import UNITS, Artifact
from modelgrid.emit.model import MODULE
from modelgrid.emit.render import render
from modelgrid.emit.systemd_quoting import command, seconds, word
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from modelgrid.ir import Deployment

#: How soon after its own start the timer looks for the first time, in seconds; sooner where it looks more often.
_FIRST = 60.0

#: The file in the folder of metrics.
METRICS = "modelgrid.prom"


def monitor(deployment: Deployment) -> tuple[Artifact, ...]:
    """Return the service and the timer of *deployment*; nothing where nobody is to look.

    Raises:
        Unrepresentable: a value cannot be written.
    """
    wanted = deployment.monitor
    if wanted is None:
        return ()
    system = deployment.scope is Scope.SYSTEM
    words = ["status", "--drift", *(() if system else ("--user",))]
    folder = wanted.metrics.rstrip("/")
    words += ["--metrics", f"{folder}/{METRICS}"] if wanted.metrics else []
    service: dict[str, object] = {
        "command": command(wanted.python, *MODULE, "modelgrid", *words),
        "system": system,
        # podman reads what root has configured in its own home folder
        "python_in_home": True,
        "metrics": word(f"-{folder or '/'}") if wanted.metrics else "",
    }
    timer: dict[str, object] = {
        "first": seconds(min(wanted.every, _FIRST)),
        "every": seconds(wanted.every),
    }
    return (
        Artifact(path=f"{UNITS}/{names.DRIFT}", content=render("systemd/drift.service.j2", service)),
        Artifact(path=f"{UNITS}/{names.DRIFT_TIMER}", content=render("systemd/drift.timer.j2", timer)),
    )
