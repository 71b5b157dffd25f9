"""A tree as the kernel makes it, in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.host.drm import drm_gpus
from modelgrid.host.facts import Gpu, Vendor

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3


def card(root: Path, node: int, place: str, **files: str) -> None:
    device = root / "devices" / place
    device.mkdir(parents=True)
    for name, text in files.items():
        (device / name).write_text(f"{text}\n", encoding="ascii")
    (root / "drm" / f"renderD{node}").mkdir(parents=True)
    (root / "drm" / f"renderD{node}" / "device").symlink_to(device)


def test_cards_of_amd_and_intel_are_found_by_their_nodes(tmp_path: Path) -> None:
    card(tmp_path, 129, "0000:43:00.0", vendor="0x8086", device="0xe20b", lmem_total_bytes=str(12 * GIB))
    card(tmp_path, 128, "0000:03:00.0", vendor="0x1002", product_name="Radeon Pro", mem_info_vram_total=str(48 * GIB))

    assert drm_gpus(tmp_path / "drm", first=2) == (
        Gpu(
            index=2,
            uuid="0000:03:00.0",
            name="Radeon Pro",
            memory=48 * GIB,
            vendor=Vendor.AMD,
            node="/dev/dri/renderD128",
        ),
        Gpu(
            index=3,
            uuid="0000:43:00.0",
            name="intel 0xe20b",
            memory=12 * GIB,
            vendor=Vendor.INTEL,
            node="/dev/dri/renderD129",
        ),
    )


def test_what_cannot_hold_a_model_is_left_out(tmp_path: Path) -> None:
    card(tmp_path, 128, "0000:00:02.0", vendor="0x8086", device="0x46a6")
    card(tmp_path, 129, "0000:04:00.0", vendor="0x1002", mem_info_vram_total=str(GIB // 2))
    card(tmp_path, 130, "0000:05:00.0", vendor="0x10de", mem_info_vram_total=str(24 * GIB))
    card(tmp_path, 131, "platform", vendor="0x1002", mem_info_vram_total=str(24 * GIB))

    assert drm_gpus(tmp_path / "drm") == ()


def test_a_host_without_graphics_has_none(tmp_path: Path) -> None:
    assert drm_gpus(tmp_path / "nothing") == ()
