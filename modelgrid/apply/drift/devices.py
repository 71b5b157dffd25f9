"""Drift of GPUs: device names that no CDI specification has any more, and drivers that were replaced.

The version of a driver is that of its loaded kernel module (sysfs: /sys/module/NAME/version). A module that is part of
the kernel has none, and is as old as the kernel.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.checks.needs import needs_of
from modelgrid.apply.drift.values import DriftKind, Finding
from modelgrid.host.cdi import FOLDERS, device_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.units import Unit
    from modelgrid.apply.store.files import FileSystem

#: Modules of the kernel that drive GPUs, by what units that use them name.
_MODULES = {
    ("nvidia",): ("nvidia",),
    ("/dev/kfd", "char-kfd", "amd.com/gpu"): ("amdgpu",),
    ("/dev/dri", "char-drm", "intel.com/gpu"): ("amdgpu", "i915", "xe"),
}


def device_drift(host: Host, units: Mapping[str, Unit]) -> Iterator[Finding]:
    """Yield the CDI names that containers of *units* want and nobody knows."""
    wanted: dict[str, list[Unit]] = {}
    for unit in units.values():
        for device in needs_of(unit).devices:
            wanted.setdefault(device, []).append(unit)
    known = device_names(host.files.real(folder) for folder in FOLDERS) if wanted else frozenset()
    for device, users in sorted(wanted.items()):
        if device not in known:
            for unit in users:
                yield Finding(
                    kind=DriftKind.DEVICE_MISSING,
                    message=f"{unit.name} uses the GPU {device}, which no CDI specification names any more",
                    mend="see nvidia-ctk cdi list, and write the specification anew with nvidia-ctk cdi generate",
                    unit=unit.name,
                    model=unit.model,
                )


def drivers(files: FileSystem, units: Mapping[str, Unit]) -> Mapping[str, str]:
    """Return the version of each GPU driver that *units* use and the host has loaded, by the name of its module."""
    texts = [unit.artifact.content for unit in units.values()]
    names = {
        module
        for words, modules in _MODULES.items()
        if any(word in text for word in words for text in texts)
        for module in modules
    }
    found = {name: _version(files, name) for name in sorted(names)}
    return {name: version for name, version in found.items() if version}


def driver_drift(host: Host, units: Mapping[str, Unit], recorded: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the drivers that are not those that were *recorded* when the generation was last seen healthy."""
    found = drivers(host.files, units)
    for name, version in sorted(recorded.items()):
        now = found.get(name)
        if now != version:
            yield Finding(
                kind=DriftKind.DRIVER_CHANGED,
                message=f"the driver {name} is {now or 'not loaded'}, and was {version} when this generation came up",
                mend="see that the models answer, and restart those that do not; apply then records the new driver"
                if now
                else f"load it: modprobe {name}",
                path=f"/sys/module/{name}",
            )


def _version(files: FileSystem, module: str) -> str:
    folder = Path("/sys/module") / module
    # a module in the kernel's own image has a folder too, where it has parameters
    if files.kind(folder) is None:
        return ""
    for path in (folder / "version", Path("/proc/sys/kernel/osrelease")):
        try:
            return files.read(path).decode(errors="replace").strip()
        except OSError:
            continue
    return ""
