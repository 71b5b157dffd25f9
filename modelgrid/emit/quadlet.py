"""Quadlets: a ``.container`` for a model in one, an ``.image`` for an image to pull, and the network.

Keys and what podman's generator makes of them: podman-systemd.unit(5).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, assert_never

from modelgrid.emit import names
from modelgrid.emit.artifact import QUADLETS, Artifact
from modelgrid.emit.model import gpu_gate, health_gate, render_model, stop_seconds, tracer
from modelgrid.emit.quoting import (
    Specifier,
    UnitText,
    Unrepresentable,
    lookup,
    lookup_all,
    lookup_args,
    lookup_keyval,
    lookup_strv,
)
from modelgrid.emit.render import render
from modelgrid.emit.systemd_quoting import command, line, seconds, token, word
from modelgrid.ir import Isolated, Published

if TYPE_CHECKING:
    from modelgrid.ir import Container, Credential, Deployment, ModelServer, Mount, Network, PodmanSecret, Volume

#: The longest pause between two probes of a starting server, in seconds: the pause is downtime.
_STARTUP_INTERVAL = 2.0

#: Paths that ``Volume=`` and the RequiresMountsFor= that podman derives from it both take as they are.
_PLAIN_PATH = re.compile(r"/[\w./@+=,~%-]*\Z")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")

#: Ends of names that quadlet takes for those of other quadlets, in ``Image=`` and ``Volume=``.
_QUADLET_SUFFIXES = (".image", ".build", ".volume", ".artifact")


def container(model: ModelServer, launch: Container, deployment: Deployment) -> Artifact:
    """Return the quadlet of *model*, which *launch* runs.

    Raises:
        Unrepresentable: a value cannot be written.
    """
    name, trace = names.container_name(model), tracer(model)
    odd = [mount for mount in launch.mounts if not _is_plain(mount)]
    plain = [mount for mount in launch.mounts if _is_plain(mount)]
    values: dict[str, object] = {
        "gpu_gate": gpu_gate(model, launch, deployment),
        "required_mounts": [trace("mounts", word, mount.source) for mount in odd],
        "container_name": lookup(name),
        "image": trace("image", lookup, names.image_file(launch.image))
        if launch.pull
        else trace("image", _image, launch.image),
        "entrypoint": trace("entrypoint", lookup, launch.entrypoint) if launch.entrypoint else "",
        "arguments": trace("arguments", lookup_args, launch.arguments) if launch.arguments else "",
        "environment": [trace(f"environment.{key}", lookup_keyval, key, value) for key, value in model.environment],
        "volumes": [
            *(trace("mounts", _mount, mount) for mount in plain),
            *(trace("credentials", _credential_mount, item) for item in model.credentials),
            *(trace("volumes", _volume, volume) for volume in launch.volumes),
        ],
        "mounts": [trace("mounts", _odd_mount, mount) for mount in odd],
        "devices": [trace("devices", lookup_strv, device) for device in launch.devices],
        "groups": [trace("devices", lookup_all, group) for group in launch.groups],
        "secrets": [trace("podman_secrets", _secret, secret) for secret in launch.podman_secrets],
        "selinux_type": trace("selinux", lookup, launch.selinux.type)
        if launch.selinux.type and not launch.selinux.disable
        else "",
        "selinux_disable": launch.selinux.disable,
        "shm_size": trace("shm_size", lookup, f"{launch.shm_size}b") if launch.shm_size else "",
        "writable": launch.writable,
        "fetches": launch.fetches,
        **_attachment(model, launch),
        "health_command": trace("health_command", lookup, launch.health_command) if launch.health_command else "",
        "interval": seconds(model.health.interval),
        "startup_interval": seconds(min(model.health.interval, _STARTUP_INTERVAL)),
        "stop_timeout": lookup(str(stop_seconds(model))),
        "labels": [lookup_keyval(key, value) for key, value in names.labels(model)],
        "remove_command": command(deployment.podman_program, "rm", "--force", "--ignore", "--time", "0", name),
        "after_start": _after_start(model, launch, deployment),
    }
    content = render_model("quadlet/model.container.j2", model, deployment, values)
    return Artifact(path=f"{QUADLETS}/{names.container_file(model)}", content=content)


def image(reference: str, *, podman: str, size: int = 0) -> Artifact:
    """Return the quadlet that pulls the image *reference* where it is not there yet.

    *podman*: the program; *size*: of the whole pull in bytes, 0 where that is not known.

    Raises:
        Unrepresentable: podman would take it for something else than an image.
    """
    is_missing = command("/bin/sh", "-c", f'! {podman} image exists "$0"', reference)
    values = {
        "description": line(reference),
        "image": _image(reference),
        "missing": is_missing,
        "size": token(size) if size else "",
    }
    return Artifact(
        path=f"{QUADLETS}/{names.image_file(reference)}",
        content=render("quadlet/image.image.j2", values),
    )


def network(parameters: Network) -> Artifact:
    """Return the quadlet of the internal network."""
    values = {
        "name": lookup(names.NETWORK_NAME),
        "subnet": lookup_all(parameters.subnet),
        "gateway": lookup_all(parameters.gateway),
    }
    return Artifact(path=f"{QUADLETS}/{names.NETWORK}", content=render("quadlet/modelgrid.network.j2", values))


def _attachment(model: ModelServer, launch: Container) -> dict[str, object]:
    match launch.attachment:
        case Isolated(address=address):
            hardware = lookup_args(["--mac-address", names.hardware_address(address)])
            return {
                "network": lookup_all(names.NETWORK),
                "address": lookup(address),
                "hardware": hardware,
                "publish": "",
            }
        case Published(port=port):
            publish = tracer(model)("attachment", lookup_all, f"127.0.0.1:{port}:{launch.port}")
            return {"network": "", "address": "", "hardware": "", "publish": publish}
        case other:
            assert_never(other)


def _after_start(model: ModelServer, launch: Container, deployment: Deployment) -> list[UnitText]:
    commands = []
    if not launch.health_command:
        # podman says that it started the container; its server is ready when the gate says so
        commands.append(health_gate(model, deployment))
    name, trace = names.container_name(model), tracer(model)
    commands += [
        trace("after_start", command, deployment.podman_program, "exec", name, *argv) for argv in launch.after_start
    ]
    return commands


def _image(reference: str) -> UnitText:
    if reference.startswith("-"):
        raise Unrepresentable(reference, "begins with a dash, which podman takes for an option")
    if reference.endswith(_QUADLET_SUFFIXES):
        raise Unrepresentable(reference, "ends as the name of another quadlet does")
    return lookup(reference)


def _volume(volume: Volume) -> UnitText:
    if not _VOLUME_NAME.match(volume.name) or volume.name.endswith(_QUADLET_SUFFIXES):
        raise Unrepresentable(volume.name, "is no name of a podman volume")
    if ":" in volume.target:
        raise Unrepresentable(volume.target, "has a colon, which Volume= has no escape for")
    return lookup_all(f"{volume.name}:{volume.target}")


def _is_plain(mount: Mount) -> bool:
    return bool(_PLAIN_PATH.match(mount.source) and _PLAIN_PATH.match(mount.target))


def _mount(mount: Mount) -> UnitText:
    return lookup_all(f"{mount.source}:{mount.target}:{names.mount_flags(mount)}")


def _credential_mount(item: Credential) -> UnitText:
    # %d: the folder of the unit's credentials (systemd.unit(5), SPECIFIERS)
    return lookup_all((Specifier("%d"), f"/{item.name}:/run/secrets/{item.name}:ro"))


def _odd_mount(mount: Mount) -> UnitText:
    return lookup_args(("--mount", names.mount_option(mount)))


def _secret(secret: PodmanSecret) -> UnitText:
    return lookup_args((names.secret_option(secret),))
