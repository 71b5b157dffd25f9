"""What the file of a model has, whatever runs its server: time limits, the health gate, ``[X-ModelGrid]``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from modelgrid.emit.artifact import TracedText
from modelgrid.emit.dropin import quadlet_lines, systemd_lines
from modelgrid.emit.faults import first_path
from modelgrid.emit.quoting import UnitText, traced
from modelgrid.emit.render import render
from modelgrid.emit.systemd_quoting import command, line, note, notes, seconds, token
from modelgrid.emit.unitfile import config_hash
from modelgrid.ir import Container, Manager, OnChange, Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from modelgrid.diagnostics import Path
    from modelgrid.emit.dropin import Setting
    from modelgrid.ir import Credential, Deployment, ModelServer, UnitValues

#: How long GPUs may take to be there, in seconds: drivers load, nvidia-cdi-refresh writes. After that the unit fails,
#: and is tried again.
_GPU_TIMEOUT = 120.0

#: How much longer than its server's own limit a unit may take to start: for podman, and for the gate to say why.
_START_MARGIN = 30.0

#: How much longer than its server a unit may take to stop: for the kill, and for podman to remove the container.
_STOP_MARGIN = 15

#: Runs a module without the working directory on its import path: that is a user's home folder in their scope.
MODULE = ("-P", "-m")

#: Stands for the hash until the rest is written: a noncharacter, which every encoder refuses in values.
_HASH = UnitText("\ufdd2")

#: The first systemd that waits longer after each failure (RestartSteps=).
_BACK_OFF = 254


def render_model(template: str, model: ModelServer, deployment: Deployment, values: Mapping[str, object]) -> str:
    """Return the file of *model*: *template* with *values*, what all models have, and the hash of it all.

    Raises:
        Unrepresentable: a value cannot be written.
    """
    trace = tracer(model)
    common: dict[str, object] = {
        "description": line(f"{_title(model)} on {model.engine}"),
        "conflicts": [token(unit) for unit in model.conflicts],
        "starts_after": [token(unit) for unit in model.starts_after],
        "on_demand": model.on_demand,
        "credentials": [trace("credentials", _credential, item) for item in model.credentials if not item.encrypted],
        "encrypted": [trace("credentials", _credential, item) for item in model.credentials if item.encrypted],
        **_limits(model),
        "manager": "",
        **_drop_ins(model, deployment),
        "start_limit": trace("health", seconds, model.health.start_timeout + _START_MARGIN),
        "stop_limit": seconds(stop_seconds(model) + _STOP_MARGIN),
        "back_off": deployment.systemd >= _BACK_OFF,
        "models": notes(model.models),
        "engine": note(model.engine),
        # not the line: that a model moved in the file changes nothing
        "origin": note(model.origin.path),
        "endpoint": note(str(model.endpoint)),
        "on_change": note(model.on_change.value) if model.on_change is not OnChange.RESTART else "",
        "claims": notes(f"{claim.uuid} {claim.memory}" for claim in model.claims),
        "config_hash": _HASH,
    }
    text = render(template, {**common, **values})
    # the lines of the hash are not under it
    return TracedText(text.replace(_HASH, config_hash(text)), text.origins)


def _title(model: ModelServer) -> str:
    return (
        f"Model {model.name}" if model.models == (model.name,) else f"Server {model.name} of {len(model.models)} models"
    )


def _limits(model: ModelServer) -> dict[str, object]:
    """Return what limits the unit's control group; a container of Docker is in none of ours, and is told its limits."""
    docker = isinstance(model.launch, Container) and model.launch.manager is Manager.DOCKER
    limits = Resources() if docker else model.resources
    trace = tracer(model)
    return {
        "memory": trace("resources", token, limits.memory) if limits.memory else "",
        # no specifier: systemd reads a number and a percent sign
        "cpus": trace("resources", UnitText, f"{limits.cpus * 100:g}%") if limits.cpus else "",
        "tasks": trace("resources", token, limits.tasks) if limits.tasks else "",
    }


def _credential(item: Credential) -> UnitText:
    return line(f"{item.name}:{item.source}")


def _drop_ins(model: ModelServer, deployment: Deployment) -> dict[str, object]:
    """Return the lines of the user's own keys, by the section that they are for."""

    def path(field: str) -> Path:
        return first_path([f"{model.origin.path}.{field}"])

    lines = systemd_lines(_settings(model.systemd), systemd=deployment.systemd, path=path("systemd"))
    if isinstance(model.launch, Container) and model.launch.manager is Manager.QUADLET:
        lines += quadlet_lines(_settings(model.quadlet), podman=deployment.podman, path=path("quadlet"))
    return {
        f"{section.lower()}_lines": [item.line for item in lines if item.section == section]
        for section in ("Unit", "Service", "Container")
    }


def _settings(keys: Iterable[tuple[str, UnitValues]]) -> dict[str, Setting]:
    return {key: values[0] if len(values) == 1 else values for key, values in keys}


def tracer(model: ModelServer) -> Callable[..., UnitText]:
    """Return a function like :func:`~modelgrid.emit.quoting.traced` that takes a field's name for its origins.

    Of a field that the configuration says nothing of, the origin is the model or server itself.
    """

    def trace(field: str, encoder: Callable[..., UnitText], /, *args: object) -> UnitText:
        return traced(model.origins.get(field, ()), encoder, *args)

    return trace


def stop_seconds(model: ModelServer) -> int:
    """Return how long the server of *model* has between SIGTERM and SIGKILL, in the whole seconds that podman takes."""
    return math.ceil(model.stop_timeout)


def gpu_gate(model: ModelServer, launch: Container, deployment: Deployment) -> UnitText | str:
    """Return the command that ends when the GPUs of *launch* can be used, empty where nothing has to be waited for.

    It is the model's own, so that a GPU that does not come holds back no model of another; and it is run at each start,
    as a specification goes with a driver that is unloaded. systemd gives each command of a start the whole of
    ``TimeoutStartSec=``.
    """
    # Docker needs no specification for NVIDIA's, and says by itself which node is missing
    if not launch.devices or launch.manager is Manager.DOCKER:
        return ""
    limit = f"{min(_GPU_TIMEOUT, model.health.start_timeout):g}"
    words = (*MODULE, "modelgrid.host.cdi", "--timeout", limit, *launch.devices)
    return tracer(model)("devices", command, deployment.gateway.python, *words)


def health_gate(model: ModelServer, deployment: Deployment) -> UnitText:
    """Return the command that ends when the server of *model* answers: it holds the unit back from being active."""
    url = f"http://{model.endpoint}{model.health.path}"
    limit = f"{model.health.start_timeout:g}"
    words = (*MODULE, "modelgrid.health", url, "--timeout", limit)
    return tracer(model)("health", command, deployment.gateway.python, *words)
