"""Plain units: the target, the gateway, and models that are programs of the host.

Their sandbox is systemd.exec(5)'s. Managers of users have no privilege to give up: of it they get what seccomp does.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from modelgrid import __version__
from modelgrid.emit import names
from modelgrid.emit.artifact import UNITS, Artifact
from modelgrid.emit.model import MODULE, health_gate, render_model, tracer
from modelgrid.emit.quoting import Specifier
from modelgrid.emit.render import render
from modelgrid.emit.routing import KEYS, MANIFEST
from modelgrid.emit.systemd_quoting import command, environment, line, token
from modelgrid.ir import Scope
from modelgrid.live import FOLDER as LIVE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelgrid.emit.quoting import Value
    from modelgrid.ir import Deployment, ModelServer, Process

#: The first port that takes no capability (ip-sysctl, ip_unprivileged_port_start).
_FIRST_UNPRIVILEGED = 1024

#: What ProtectHome= hides (systemd.exec(5)).
_HOMES = ("/home/", "/root/", "/run/user/")

#: Devices that all users may open; others belong to the groups render and video (systemd's 50-udev-default.rules).
_OPEN_TO_ALL = "char-nvidia"

#: Where apply puts the tree in force: the folder that the manager of each scope finds its files in.
_CURRENT: dict[Scope, tuple[str | Specifier, ...]] = {
    Scope.SYSTEM: ("/etc/modelgrid/current/",),
    Scope.USER: (Specifier("%E"), "/modelgrid/current/"),
}


def target(deployment: Deployment) -> Artifact:
    """Return the target that starts and stops everything."""
    wanted_by = "multi-user.target" if deployment.scope is Scope.SYSTEM else "default.target"
    content = render("systemd/modelgrid.target.j2", {"wanted_by": token(wanted_by)})
    return Artifact(path=f"{UNITS}/{names.TARGET}", content=content)


def gateway(deployment: Deployment) -> Artifact:
    """Return the service of the gateway.

    Raises:
        Unrepresentable: a value cannot be written.
    """
    service = deployment.gateway
    listen = str(service.listen)
    current = _CURRENT[deployment.scope]
    keys = (Specifier("%t"), "/", Specifier("%N"), f"/{KEYS}")
    words: tuple[Value, ...] = ("--manifest", (*current, MANIFEST), "--keys", keys, "--listen", listen)
    words += ("--live", (Specifier("%t"), f"/{LIVE}"), "--unit", Specifier("%n"))
    values: dict[str, object] = {
        "listen": line(listen),
        "command": command(service.python, *MODULE, "modelgrid", "gateway", *words),
        "copy_keys": command(service.python, *MODULE, "modelgrid.gateway.keycopy", (*current, KEYS), keys),
        "version": token(__version__),
        "system": deployment.scope is Scope.SYSTEM,
        "privileged_port": service.listen.port < _FIRST_UNPRIVILEGED,
        "python_in_home": _in_home([service.python]),
        "allowed": [token(address) for address in _peers(deployment)],
    }
    return Artifact(path=f"{UNITS}/{names.GATEWAY}", content=render("systemd/gateway.service.j2", values))


def process(model: ModelServer, launch: Process, deployment: Deployment) -> Artifact:
    """Return the service of *model*, which the program *launch* runs.

    Raises:
        Unrepresentable: a value cannot be written.
    """
    trace = tracer(model)
    after_start = [health_gate(model, deployment)]
    after_start += [trace("after_start", command, *argv) for argv in launch.after_start]
    variables = [value for _, value in model.environment]
    values: dict[str, object] = {
        "command": trace("argv", command, *launch.argv),
        "after_start": after_start,
        "environment": [
            *(trace(f"environment.{name}", environment, name, value) for name, value in model.environment),
            # %d: the folder of the unit's credentials (systemd.unit(5), SPECIFIERS)
            *(
                trace("credentials", environment, item.variable, (Specifier("%d"), f"/{item.name}"))
                for item in model.credentials
            ),
        ],
        "state_directory": token(launch.state_directory) if launch.state_directory else "",
        "system": deployment.scope is Scope.SYSTEM,
        "python_in_home": _in_home([deployment.gateway.python, *launch.argv, *variables]),
        "devices": [token(device) for device in launch.devices],
        "groups": any(not device.startswith(_OPEN_TO_ALL) for device in launch.devices),
        "egress": launch.egress,
    }
    content = render_model("systemd/model.service.j2", model, deployment, values)
    return Artifact(path=f"{UNITS}/{model.unit}", content=content)


def _peers(deployment: Deployment) -> tuple[str, ...]:
    """Return whom the gateway may exchange packets with; none where it listens to more than this host."""
    host = deployment.gateway.listen.host
    if host != "localhost" and not ip_address(host).is_loopback:
        return ()
    return ("localhost", *(network.subnet for network in deployment.networks))


def _in_home(values: Iterable[str]) -> bool:
    return any(home in value for value in values for home in _HOMES)
