"""The host as a bundle of seams: everything outside that ``apply`` reads, changes or asks goes through one of these."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelgrid.apply.process import HostProcesses
from modelgrid.apply.store.files import FileSystem
from modelgrid.apply.store.layout import Layout
from modelgrid.apply.systemctl import Systemctl
from modelgrid.apply.systemd import PystemdManager
from modelgrid.errors import HostError
from modelgrid.host.probe import interpreter
from modelgrid.ports import reachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.apply.process import Processes
    from modelgrid.apply.systemd import Systemd
    from modelgrid.ir import Endpoint, Scope

#: Seconds that the gateway may take for one answer on this host.
_GATEWAY_ANSWER = 2.0


def manifest_in_use(listen: Endpoint) -> str | None:
    """Ask the gateway at *listen* which manifest it routes by.

    Returns the SHA-256 of the manifest, as ``GET /ready`` has it; none where no gateway answers so. Whether its models
    are ready (status 200 or 503) is not looked at.
    """
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415  only where a gateway is asked

    connection = HTTPConnection(reachable(listen.host), listen.port, timeout=_GATEWAY_ANSWER)
    try:
        connection.request("GET", "/ready")
        answer = json.loads(connection.getresponse().read(1 << 20))
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    manifest = answer.get("manifest") if isinstance(answer, dict) else None
    return manifest if isinstance(manifest, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The seams to one host and one scope.

    Attributes:
        user: the effective user id of this process.
        python: the interpreter that has ModelGrid, an absolute path.
        ask_gateway: tells the SHA-256 of the manifest that the gateway routes by, as :func:`manifest_in_use` does.
        now: the time of day, for people to read.
        sleep: waits for a number of seconds.
    """

    layout: Layout
    files: FileSystem
    systemd: Systemd
    processes: Processes
    user: int = 0
    python: str = sys.executable
    ask_gateway: Callable[[Endpoint], str | None] = manifest_in_use
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    sleep: Callable[[float], None] = time.sleep


def this_host(scope: Scope, *, early: bool = False) -> Host:
    """Return the seams to the host that this process runs on. Connects to nothing yet.

    *early* in a boot, systemd is asked without the bus, which is not there yet.

    Raises:
        HostError: this is no Linux, or the user's folders are unknown.
    """
    if sys.platform != "linux":
        raise HostError("apply needs Linux with systemd", hint="modelgrid up runs a grid in the foreground anywhere")
    processes = HostProcesses()
    return Host(
        layout=Layout.of(scope, os.environ),
        files=FileSystem(),
        systemd=Systemctl(scope, processes) if early else PystemdManager(scope),
        processes=processes,
        user=os.geteuid(),
        python=interpreter(),
    )
