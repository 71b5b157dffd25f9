"""Reads the facts of the host it runs on. The only import of pynvml."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelgrid.host.drm import drm_gpus
from modelgrid.host.facts import Gpu, HostFacts, Vendor, version_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable


def probe(programs: Iterable[str]) -> HostFacts:
    """Read this host's facts. *programs* are the names of engine programs to look for on the PATH."""
    os_release = _os_release()
    return HostFacts(
        system=platform.system().lower(),
        distribution=os_release.get("ID", ""),
        distribution_version=os_release.get("VERSION_ID", ""),
        arch=_machine(),
        podman=_podman_version(),
        systemd=_systemd_version(),
        home=_home(),
        python=interpreter(),
        programs=tuple((name, path) for name in sorted({*programs, *_ENGINES}) if (path := shutil.which(name))),
        embedded_llama=importlib.util.find_spec("xllamacpp") is not None,
        gpus=all_gpus(),
    )


def interpreter() -> str:
    """Return the path of this Python by the one name that it has for everyone, ``python3`` where that is it too.

    Who calls it ``python`` today and ``python3.11`` tomorrow, as the first line of a script may, means the same
    program: units that name it must not be others for that.
    """
    usual = Path(sys.executable).with_name("python3")
    try:
        is_same = usual.samefile(sys.executable)
    except OSError:
        return sys.executable
    return str(usual) if is_same else sys.executable


#: Programs that make containers.
_ENGINES = ("docker", "podman")


def all_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs of every vendor, numbered one after the other."""
    nvidia = nvidia_gpus()
    return (*nvidia, *drm_gpus(first=1 + max((gpu.index for gpu in nvidia), default=-1)))


def nvidia_gpus() -> tuple[Gpu, ...]:
    """Return the NVIDIA GPUs that NVML lists and can describe; none where there is no driver.

    One that has fallen off the bus, or that has no memory of its own to tell of, is left out.
    """
    import pynvml  # noqa: PLC0415  most commands need no GPU

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        found = [_nvidia_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()
    return tuple(gpu for gpu in found if gpu is not None)


def _nvidia_gpu(pynvml: Any, index: int) -> Gpu | None:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        return Gpu(
            index=index,
            uuid=pynvml.nvmlDeviceGetUUID(handle),
            name=pynvml.nvmlDeviceGetName(handle),
            memory=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
            vendor=Vendor.NVIDIA,
        )
    except pynvml.NVMLError:
        return None


def _home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:
        return ""


def _machine() -> str:
    machine = platform.machine()
    # Windows and macOS have their own words for what Linux calls x86_64 and aarch64
    return {"AMD64": "x86_64", "arm64": "aarch64", "ARM64": "aarch64"}.get(machine, machine)


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _podman_version() -> tuple[int, ...] | None:
    return version_numbers(_output("podman", "--version"))


def _systemd_version() -> int | None:
    # the folder is how sd_booted(3) tells; a systemctl on a host that was booted otherwise is no systemd
    if not Path("/run/systemd/system").is_dir():
        return None
    numbers = version_numbers(_output("systemctl", "--version"))
    return numbers[0] if numbers else None


def _output(*argv: str) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
