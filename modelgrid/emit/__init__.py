"""Writes a Deployment out: units, quadlets, the routing manifest and the keys. Pure: the same value, the same bytes."""

from __future__ import annotations

from typing import assert_never

from modelgrid.emit import quadlet, systemd
from modelgrid.emit.artifact import Artifact
from modelgrid.emit.faults import Faults
from modelgrid.emit.routing import routing
from modelgrid.emit.target import for_target
from modelgrid.ir import Container, Deployment, ModelService, Process

__all__ = ["Artifact", "emit"]


def emit(deployment: Deployment) -> tuple[Artifact, ...]:
    """Return every file of *deployment*, sorted by path.

    Raises:
        ConfigError: values cannot be written in a unit, or the target is too old for keys that it needs; all of them
            are in its report, with their paths.
        InternalError: a template or a table of ours is at fault.
    """
    faults = Faults()
    artifacts = [*routing(deployment), systemd.target(deployment)]
    with faults.of(deployment.gateway.origin):
        artifacts.append(systemd.gateway(deployment))
        if deployment.network is not None:
            artifacts.append(quadlet.network(deployment.network))
        gpu_ready = systemd.gpu_ready(deployment)
        if gpu_ready is not None:
            artifacts.append(gpu_ready)
    images: dict[str, Artifact] = {}
    for model in deployment.models:
        with faults.of(model.origin):
            artifacts.append(_model(model, deployment))
            if isinstance(model.launch, Container) and model.launch.pull:
                images.setdefault(model.launch.image, quadlet.image(model.launch.image))
    artifacts += images.values()
    fitted = for_target(artifacts, deployment, faults)
    faults.stop()
    return tuple(sorted(fitted))


def _model(model: ModelService, deployment: Deployment) -> Artifact:
    match model.launch:
        case Container():
            return quadlet.container(model, model.launch, deployment)
        case Process():
            return systemd.process(model, model.launch, deployment)
        case other:
            assert_never(other)
