"""What the files of a compiled tree are called, and what units systemd has of them."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.emit.artifact import QUADLETS, UNITS
from modelgrid.emit.unitfile import parse_unit

if TYPE_CHECKING:
    from modelgrid.ir import ModelService

TARGET = "modelgrid.target"
GATEWAY = "modelgrid-gateway.service"
GPU_READY = "modelgrid-gpu-ready.service"
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


def container_file(model: ModelService) -> str:
    """Return the name of the quadlet that yields ``model.unit``."""
    return f"{container_name(model)}.container"


def container_name(model: ModelService) -> str:
    """Return the name that podman has for the model's container."""
    return model.unit.removesuffix(".service")


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
