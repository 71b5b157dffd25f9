"""GPUs of AMD and Intel, as the kernel shows them in /sys/class/drm (Documentation/gpu/drm-uapi.rst)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.host.facts import Gpu, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Vendors by their PCI number.
_VENDORS = {"0x1002": Vendor.AMD, "0x8086": Vendor.INTEL}
_RENDER = re.compile(r"renderD([0-9]+)\Z")
_LOCATION = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\Z")

#: What the drivers write: amdgpu the bytes of its memory; i915 and xe nothing before they are asked as root.
_MEMORY = ("mem_info_vram_total", "lmem_total_bytes")

#: Less is the part of main memory that a processor's own graphics reserves: no GPU to run models on.
_LEAST = 2 * 1024**3


def drm_gpus(root: Path = Path("/sys/class/drm"), *, first: int = 0) -> tuple[Gpu, ...]:
    """Return the GPUs of AMD and Intel below *root* that have memory of their own, in the order of their nodes.

    Their indices go on from *first*.

    Each is named by its place on the PCI bus, ``0000:03:00.0``, which stays the same while the card does. One whose
    driver does not tell its memory is left out: nothing could be placed on it.
    """
    try:
        nodes = sorted((int(match[1]), path) for path in root.iterdir() if (match := _RENDER.match(path.name)))
    except OSError:
        return ()
    return tuple(
        Gpu(index=index, uuid=place, name=name, memory=memory, vendor=vendor, node=node)
        for index, (vendor, place, name, memory, node) in enumerate(_gpus(path for _, path in nodes), start=first)
    )


def _gpus(nodes: Iterator[Path]) -> Iterator[tuple[Vendor, str, str, int, str]]:
    for path in nodes:
        device = path / "device"
        vendor = _VENDORS.get(_read(device / "vendor"))
        memory = max((int(text) for name in _MEMORY if (text := _read(device / name)).isdigit()), default=0)
        place = device.resolve().name
        if vendor is None or memory < _LEAST or not _LOCATION.match(place):
            continue
        name = _read(device / "product_name") or f"{vendor.value} {_read(device / 'device')}"
        yield vendor, place, name, memory, f"/dev/dri/{path.name}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
