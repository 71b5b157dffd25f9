"""Fits the units of a deployment to the podman and systemd of its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.artifact import QUADLETS
from modelgrid.emit.downgrade import downgrade, needs_host_gate
from modelgrid.emit.keys import check_support
from modelgrid.emit.model import health_gate
from modelgrid.emit.names import container_file, image_file, unit_name
from modelgrid.ir import Container, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelgrid.emit.artifact import Artifact
    from modelgrid.emit.faults import Faults
    from modelgrid.ir import Deployment


def for_target(artifacts: Iterable[Artifact], deployment: Deployment, faults: Faults) -> tuple[Artifact, ...]:
    """Return *artifacts* of *deployment*, each unit with the meaning that it has and the keys that the target has.

    That the target is too old for a key which has no equal there is added to *faults*.

    Raises:
        InternalError: the tables lack a key that is emitted.
    """
    models = {f"{QUADLETS}/{container_file(model)}": model for model in deployment.servers}
    launches = [model.launch for model in deployment.servers if isinstance(model.launch, Container)]
    images = {image_file(launch.image): launch.image for launch in launches if launch.pull}
    fitted = []
    for artifact in artifacts:
        if unit_name(artifact.path) is None:
            fitted.append(artifact)
            continue
        with faults.of():
            model = models.get(artifact.path)
            unit = downgrade(
                artifact,
                podman=deployment.podman,
                systemd=deployment.systemd,
                user=deployment.scope is Scope.USER,
                gate=health_gate(model, deployment) if model and needs_host_gate(deployment.podman) else None,
                images=images,
            )
            check_support(unit, podman=deployment.podman, systemd=deployment.systemd)
            fitted.append(unit)
    return tuple(fitted)
