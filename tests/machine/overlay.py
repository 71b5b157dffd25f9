"""A throwaway layer over a root file system, in a mount namespace of its own.

The layer is a tmpfs. It and every mount go away with the last process of the namespace, however that ends: nothing
has to be cleaned up on disk.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.machine.cache import cache_folder
from tests.requirements import require_root, require_tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: A new mount and PID namespace, whose every process ends with the first one.
UNSHARE = ("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc")


#: The line that a script writes once everything is mounted.
MOUNTED = "mounted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def scratch_folder() -> Path:
    """Where the layer is mounted, in its own namespace only. Elsewhere the folder is empty."""
    folder = cache_folder() / "scratch"
    folder.mkdir(exist_ok=True)
    return folder


def mount_script(layers: Sequence[Path]) -> str:
    """Shell text that mounts *layers*, the topmost first, under a throwaway one at ``scratch_folder()/root``."""
    return f"""set -eu
cd {shlex.quote(str(cache_folder()))}
mount -t tmpfs -o mode=755 tmpfs scratch
mkdir scratch/upper scratch/work scratch/root
mount -t overlay overlay -o {overlay_options(layers, "scratch")} scratch/root
cd scratch
"""


def overlay_options(layers: Sequence[Path], writable: str) -> str:
    """Mount options, for a shell in the cache's folder, of *layers* under ``upper`` in the folder *writable*.

    Names are relative: that keeps ':' and ',' of the checkout's path out of the options. ``redirect_dir``: a folder
    of the layers can be renamed, as on any file system.
    """
    lower = ":".join(str(layer.relative_to(cache_folder())) for layer in layers)
    return f"lowerdir={lower},upperdir={writable}/upper,workdir={writable}/work,redirect_dir=on"


def run_in_root(
    layers: Sequence[Path],
    argv: Sequence[str],
    *,
    folders: Mapping[str, Path] | None = None,
    executables: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Result:
    """Run *argv* as root with *layers* (the topmost first) as its root file system, which it cannot change.

    *folders* maps a path in there to a folder of the host whose content is copied to it. *executables* are paths
    where an empty program is put when none is there. Raises `subprocess.TimeoutExpired` after *timeout* seconds, and
    `RuntimeError` when the root file system cannot be mounted, so that no result is ever about that.
    """
    require_root()
    require_tools("unshare")
    scratch_folder()
    script = [mount_script(layers), "mount -t proc proc root/proc"]
    for path, source in (folders or {}).items():
        target = shlex.quote(f"root/{path.lstrip('/')}")
        script.append(f"mkdir -p {target}\ncp -r {shlex.quote(str(source.resolve()))}/. {target}")
    for path in executables:
        target = shlex.quote(f"root/{path.lstrip('/')}")
        script.append(f"[ -e {target} ] || install -D -m 755 /dev/null {target}")
    script.append(f"echo {MOUNTED}\nexec chroot root {shlex.join(argv)}")
    process = subprocess.run(
        [*UNSHARE, "sh", "-c", "\n".join(script)],
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        env={"PATH": os.defpath + ":/usr/sbin:/sbin", "LANG": "C.UTF-8", **(env or {})},
        timeout=timeout,
    )
    mounted, marker, stdout = process.stdout.partition(f"{MOUNTED}\n")
    if mounted or not marker:
        raise RuntimeError(f"the root file system cannot be mounted: {process.stderr.strip()}")
    return Result(returncode=process.returncode, stdout=stdout, stderr=process.stderr)
