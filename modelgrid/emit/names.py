"""What the files of a compiled tree are called, and what units systemd has of them."""

from __future__ import annotations

import hashlib
import re
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.emit.artifact import QUADLETS, UNITS
from modelgrid.emit.quoting import Unrepresentable
from modelgrid.emit.unitfile import parse_unit

if TYPE_CHECKING:
    from modelgrid.ir import ModelServer, Mount, PodmanSecret

TARGET = "modelgrid.target"
GATEWAY = "modelgrid-gateway.service"
#: Of the host and not of a tree: finishes an interrupted change at boot.
RECOVER = "modelgrid-recover.service"
DRIFT = "modelgrid-drift.service"
DRIFT_TIMER = "modelgrid-drift.timer"
NETWORK = "modelgrid.network"
#: The podman network that NETWORK makes.
NETWORK_NAME = "modelgrid"

#: What podman's generator puts behind the stem of a quadlet (podman-systemd.unit(5)).
_SUFFIXES = {
    ".container": "",
    ".image": "-image",
    ".network": "-network",
    ".volume": "-volume",
    ".pod": "-pod",
    ".build": "-build",
    ".artifact": "-artifact",
    ".kube": "",
}
_OTHER = re.compile(r"[^a-z0-9]+")


def container_file(model: ModelServer) -> str:
    """Return the name of the quadlet that yields ``model.unit``."""
    return f"{container_name(model)}.container"


def container_name(model: ModelServer) -> str:
    """Return the name that podman has for the model's container."""
    return model.unit.removesuffix(".service")


MANAGED_LABEL = "io.modelgrid.managed"
MODEL_LABEL = "io.modelgrid.model"


def labels(model: ModelServer) -> tuple[tuple[str, str], ...]:
    """Return the labels of the model's container."""
    return ((MANAGED_LABEL, "true"), (MODEL_LABEL, model.name))


def hardware_address(address: str) -> str:
    """Return the Ethernet address that goes with *address*, locally administered (IEEE 802, clause 8).

    With one at random, a container that starts again at its IP address would not be reached for some 8 seconds: that
    is how long the host believes its neighbour entry of before (arp(7), delay_first_probe_time).
    """
    return ":".join(["02", "4d", *(f"{byte:02x}" for byte in IPv4Address(address).packed)])


def mount_flags(mount: Mount) -> str:
    """Return what follows the target in ``--volume`` (podman-run(1)): ``ro``, ``rw,z``."""
    return ("rw" if mount.writable else "ro") + (",z" if mount.relabel else "")


def mount_option(mount: Mount) -> str:
    """Return the value of ``--mount`` for a path that ``--volume`` has no spelling for.

    Raises:
        Unrepresentable: the source is no absolute path.
    """
    if not mount.source.startswith("/"):
        raise Unrepresentable(mount.source, "is no absolute path")
    fields = ["type=bind", f"source={mount.source}", f"destination={mount.target}"]
    fields += [] if mount.writable else ["ro=true"]
    fields += ["relabel=shared"] if mount.relabel else []
    return ",".join(map(_csv_field, fields))


def _csv_field(text: str) -> str:
    """Quote *text* as Go's encoding/csv reads it, which podman and Docker use for ``--mount``."""
    if "," not in text and '"' not in text:
        return text
    escaped = text.replace('"', '""')
    return f'"{escaped}"'


def secret_option(secret: PodmanSecret) -> str:
    """Return the value of ``--secret`` (podman-run(1)), which is that of ``Secret=`` as well.

    A file is for every user of the container: which one its server runs as is the image's affair, and there is no other
    program in it. On the host none but root comes to where it lies.
    """
    if secret.path:
        return f"{secret.name},type=mount,target={secret.path},mode=0444"
    return f"{secret.name},type=env,target={secret.variable}"


def image_file(image: str) -> str:
    """Return the name of the quadlet that pulls *image*: readable, and different for different images."""
    words = _OTHER.sub("-", image.rpartition("/")[2].lower()).strip("-")[:40].rstrip("-")
    return f"modelgrid-image-{words}-{hashlib.sha256(image.encode()).hexdigest()[:8]}.image"


def unit_name(path: str) -> str | None:
    """Return the systemd unit that the file at *path* of a compiled tree yields, none where it is no unit."""
    file = PurePosixPath(path)
    if len(file.parts) != 2:  # noqa: PLR2004  a folder and a file
        return None
    if file.parts[0] == UNITS:
        return file.name
    if file.parts[0] == QUADLETS and file.suffix in _SUFFIXES:
        return f"{file.stem}{_SUFFIXES[file.suffix]}.service"
    return None


def quadlet_references(text: str) -> set[str]:
    """Return the names of the quadlets, images and networks, that the ``.container`` *text* depends on."""
    unit = parse_unit(text)
    images = unit.get(("Container", "Image"), ())
    networks = (network.partition(":")[0] for network in unit.get(("Container", "Network"), ()))
    return {
        *(image for image in images if image.endswith((".image", ".build"))),
        *(network for network in networks if network.endswith((".network", ".container"))),
    }
