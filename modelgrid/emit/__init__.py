"""Writes a Deployment out: units, quadlets, the routing manifest and the keys. Pure: the same value, the same bytes."""

from __future__ import annotations

from typing import assert_never

from modelgrid.emit import drift, plain, quadlet, systemd
from modelgrid.emit.artifact import Artifact
from modelgrid.emit.faults import Faults
from modelgrid.emit.placement import placement
from modelgrid.emit.routing import routing
from modelgrid.emit.settings import settings
from modelgrid.emit.target import for_target
from modelgrid.ir import Container, Deployment, Manager, ModelServer, Network, Process

__all__ = ["Artifact", "emit"]


def emit(deployment: Deployment) -> tuple[Artifact, ...]:
    """Return every file of *deployment*, sorted by path.

    Raises:
        ConfigError: values cannot be written in a unit, or the target is too old for keys that it needs; all of them
            are in its report, with their paths.
        InternalError: a template or a table of ours is at fault.
    """
    faults = Faults()
    artifacts = [*routing(deployment), placement(deployment), settings(deployment), systemd.target(deployment)]
    with faults.of(deployment.gateway.origin):
        artifacts.append(systemd.gateway(deployment))
        artifacts += [_network(network, deployment) for network in deployment.networks]
    if deployment.monitor is not None:
        with faults.of(deployment.monitor.origin):
            artifacts += drift.monitor(deployment)
    images: dict[str, Artifact] = {}
    for server in deployment.servers:
        with faults.of(server.origin):
            artifacts.append(_server(server, deployment))
            if isinstance(server.launch, Container) and server.launch.pull:
                image = _image(server.launch, deployment)
                images[image.path] = image
    artifacts += images.values()
    fitted = for_target(artifacts, deployment, faults)
    faults.stop()
    return tuple(sorted(fitted))


def _server(server: ModelServer, deployment: Deployment) -> Artifact:
    match server.launch:
        case Container(manager=Manager.QUADLET):
            return quadlet.container(server, server.launch, deployment)
        case Container():
            return plain.container(server, server.launch, deployment)
        case Process():
            return systemd.process(server, server.launch, deployment)
        case other:
            assert_never(other)


def _image(launch: Container, deployment: Deployment) -> Artifact:
    if launch.manager is Manager.QUADLET:
        return quadlet.image(launch.image, podman=deployment.podman_program, size=launch.pull_size)
    return plain.image(launch, deployment)


def _network(network: Network, deployment: Deployment) -> Artifact:
    return quadlet.network(network) if network.manager is Manager.QUADLET else plain.network(network, deployment)
