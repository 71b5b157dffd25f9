"""The virtual machine's kernel and initramfs: busybox, this Python, and what of this repository the guest needs."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
GUEST = REPOSITORY / "scripts/power/guest.py"

#: Checksums that file systems ask the kernel's crypto interface for, by name and not as a dependency.
_ASKED_FOR = ("crc32c_generic", "crc32c-intel", "xxhash_generic")

_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /mnt /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
# the guest's program loads the driver of the disk: until then the machine may be saved, and started with another disk
for module in MODULES; do /bin/busybox insmod /modules/$module.ko; done
/bin/busybox stty -F /dev/ttyS1 raw -echo
export PYTHONPATH=REPOSITORY LC_ALL=C.UTF-8 HOME=/ PYTHONDONTWRITEBYTECODE=1
PYTHON GUEST /mnt /dev/ttyS1
echo "the guest's program ended"
/bin/busybox poweroff -f
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What QEMU boots. *release* is the kernel's."""

    kernel: Path
    initramfs: Path
    release: str


def build(folder: Path) -> Boot:
    """Return a kernel of Debian and an initramfs, made in *folder*."""
    unpacked = _kernel(folder)
    kernel = next((unpacked / "boot").glob("vmlinuz-*"))
    release = kernel.name.removeprefix("vmlinuz-")
    modules = _modules(unpacked / "lib/modules" / release, ["virtio_pci", "virtio_blk", "ext4", "xfs", "btrfs"])
    python = Path(sys.executable).resolve()
    busybox = shutil.which("busybox")
    if busybox is None:
        raise SystemExit("powercut: busybox is missing (apt install busybox-static)")
    init = _INIT.replace("MODULES", " ".join(module.stem for module in modules if module.stem != "virtio_blk"))
    init = init.replace("REPOSITORY", str(REPOSITORY)).replace("PYTHON ", f"{python} ").replace("GUEST", str(GUEST))
    files: dict[str, Path | bytes] = {"init": init.encode(), "bin/busybox": Path(busybox)}
    files |= {f"modules/{module.name}": module for module in modules}
    files |= {str(path).lstrip("/"): path for path in _python_files(python)}
    files |= {str(path).lstrip("/"): path for path in (REPOSITORY / "templates").rglob("*") if path.is_file()}
    initramfs = folder / "initramfs"
    initramfs.write_bytes(b"".join(_cpio(files)))
    return Boot(kernel=kernel, initramfs=initramfs, release=release)


def _kernel(folder: Path) -> Path:
    """Return the unpacked package of the kernel, downloaded once."""
    unpacked = folder / "kernel"
    if not unpacked.exists():
        shown = subprocess.run(
            ["apt-cache", "depends", "linux-image-cloud-amd64"], check=True, capture_output=True, text=True
        ).stdout
        package = re.search(r"Depends: (linux-image-\S+)", shown)
        assert package is not None, shown
        subprocess.run(["apt-get", "download", "-q", package[1]], check=True, cwd=folder)
        (archive,) = folder.glob("linux-image-*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True)
    return unpacked


def _modules(folder: Path, names: Iterable[str]) -> list[Path]:
    """Return *names* and what they depend on, in the order to load them in; what is built in is left out."""
    found = {path.stem.replace("-", "_"): path for path in folder.rglob("*.ko")}
    order: list[Path] = []

    def add(name: str) -> None:
        path = found.get(name.replace("-", "_"))
        if path is None or path in order:
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for needed in (depends[1].decode() if depends else "").split(","):
            add(needed)
        order.append(path)

    for name in (*_ASKED_FOR, *names):
        add(name)
    return order


def _python_files(python: Path) -> set[Path]:
    """Return *python*, and every file that the guest's program reads when it does all that it can do."""
    code = (
        "import runpy, sys; sys.argv = ['guest', '--try'];"
        f"runpy.run_path({str(GUEST)!r}, run_name='__main__');"
        "print(*(f for m in list(sys.modules.values()) for f in [getattr(m, '__file__', None)] if f), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    shown = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, env=environment).stdout
    modules = {Path(line) for line in shown.splitlines() if line.startswith("/")}
    files = {python, GUEST, *modules}
    for module in modules:
        files |= set(module.parent.glob(f"__pycache__/{module.stem}.cpython-*.pyc"))
    # Python looks for this one to find its library
    files |= {path for path in (module.parent for module in modules) if (path / "os.py").exists()}
    libraries: set[Path] = set()
    for binary in [python, *(module for module in modules if module.suffix == ".so")]:
        listed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
        libraries |= {Path(path) for path in re.findall(r"(/\S+) \(0x", listed)}
    return files | libraries


def _cpio(files: dict[str, Path | bytes]) -> Iterator[bytes]:
    """Yield an archive in the kernel's form (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    folders = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    for number, name in enumerate(sorted(folders | files.keys())):
        source = files.get(name)
        if source is None or (isinstance(source, Path) and source.is_dir()):
            yield _entry(number, name, stat.S_IFDIR | 0o755, b"", 0)
        elif isinstance(source, bytes):
            yield _entry(number, name, stat.S_IFREG | 0o755, source, 0)
        else:
            # the time decides whether Python believes its compiled file
            yield _entry(number, name, stat.S_IFREG | 0o755, source.read_bytes(), int(source.stat().st_mtime))
    yield _entry(0, "TRAILER!!!", 0, b"", 0)


def _entry(number: int, name: str, mode: int, content: bytes, time: int) -> bytes:
    fields = (number, mode, 0, 0, 1, time, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
