"""Writes a Deployment out: units, quadlets, the routing manifest and the keys. Pure: the same value, the same bytes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, assert_never

from modelgrid.emit import quadlet, systemd
from modelgrid.emit.artifact import Artifact
from modelgrid.emit.keys import check_support
from modelgrid.emit.names import unit_name
from modelgrid.emit.quoting import Unrepresentable
from modelgrid.emit.routing import routing
from modelgrid.errors import ConfigError
from modelgrid.ir import Container, Deployment, ModelService, Origin, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Artifact", "emit"]

#: As much of a value as a message shows.
_SHOWN = 60


def emit(deployment: Deployment) -> tuple[Artifact, ...]:
    """Return every file of *deployment*, sorted by path.

    Raises:
        ConfigError: a value cannot be written in a unit, or the target is too old for a key that it needs.
        InternalError: a template or a table of ours is at fault.
    """
    artifacts = [*routing(deployment), systemd.target(deployment)]
    with _naming(deployment.gateway.origin):
        artifacts.append(systemd.gateway(deployment))
        if deployment.network is not None:
            artifacts.append(quadlet.network(deployment.network))
        gpu_ready = systemd.gpu_ready(deployment)
        if gpu_ready is not None:
            artifacts.append(gpu_ready)
    images: dict[str, Artifact] = {}
    for model in deployment.models:
        with _naming(model.origin):
            artifacts.append(_model(model, deployment))
            if isinstance(model.launch, Container) and model.launch.pull:
                images.setdefault(model.launch.image, quadlet.image(model.launch.image))
    artifacts += images.values()
    for artifact in artifacts:
        if unit_name(artifact.path) is not None:
            check_support(artifact, podman=deployment.podman, systemd=deployment.systemd)
    return tuple(sorted(artifacts))


def _model(model: ModelService, deployment: Deployment) -> Artifact:
    match model.launch:
        case Container():
            return quadlet.container(model, model.launch, deployment)
        case Process():
            return systemd.process(model, model.launch, deployment)
        case other:
            assert_never(other)


@contextmanager
def _naming(origin: Origin) -> Iterator[None]:
    """Say where a value comes from that cannot be written."""
    try:
        yield
    except Unrepresentable as error:
        shown = error.value if len(error.value) <= _SHOWN else f"{error.value[:_SHOWN]}…"
        place = f"{origin.location}: " if origin.location else ""
        raise ConfigError(
            f"{place}{origin.path}: {shown!r} {error.rule}",
            hint="write the value in another way, or put it into a file that the server reads",
        ) from error
