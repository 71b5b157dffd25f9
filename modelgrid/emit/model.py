"""What the file of a model has, whatever runs its server: time limits, the health gate, ``[X-ModelGrid]``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from modelgrid.emit.render import render
from modelgrid.emit.systemd_quoting import command, line, note, notes, seconds, token
from modelgrid.emit.unitfile import config_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.emit.quoting import UnitText
    from modelgrid.ir import Deployment, ModelService

#: How much longer than its server's own limit a unit may take to start: for podman, and for the gate to say why.
_START_MARGIN = 30.0

#: How much longer than its server a unit may take to stop: for the kill, and for podman to remove the container.
_STOP_MARGIN = 15

#: Runs a module without the working directory on its import path: that is a user's home folder in their scope.
MODULE = ("-P", "-m")

#: The first systemd that waits longer after each failure (RestartSteps=).
_BACK_OFF = 254


def render_model(template: str, model: ModelService, deployment: Deployment, values: Mapping[str, object]) -> str:
    """Return the file of *model*: *template* with *values*, what all models have, and the hash of it all.

    Raises:
        Unrepresentable: a value cannot be written.
    """
    common: dict[str, object] = {
        "description": line(f"Model {model.name} on {model.engine}"),
        "start_limit": seconds(model.health.start_timeout + _START_MARGIN),
        "stop_limit": seconds(stop_seconds(model) + _STOP_MARGIN),
        "back_off": deployment.systemd >= _BACK_OFF,
        "model": note(model.name),
        "engine": note(model.engine),
        # not the line: that a model moved in the file changes nothing
        "origin": note(model.origin.path),
        "claims": notes(f"{claim.uuid} {claim.memory}" for claim in model.claims),
        "config_hash": "",
    }
    unhashed = render(template, {**common, **values})
    return render(template, {**common, **values, "config_hash": token(config_hash(unhashed))})


def stop_seconds(model: ModelService) -> int:
    """Return how long the server of *model* has between SIGTERM and SIGKILL, in the whole seconds that podman takes."""
    return math.ceil(model.stop_timeout)


def health_gate(model: ModelService, deployment: Deployment) -> UnitText:
    """Return the command that ends when the server of *model* answers: it holds the unit back from being active."""
    url = f"http://{model.endpoint}{model.health.path}"
    limit = f"{model.health.start_timeout:g}"
    return command(deployment.gateway.python, *MODULE, "modelgrid.health", url, "--timeout", limit)
