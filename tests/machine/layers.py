"""What is laid over a host's root file system before ModelGrid itself is installed there."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

from tests.machine.archive import apt_line
from tests.machine.cache import REPOSITORY, cache_folder, cached, fetch
from tests.machine.images import model_version, write_model
from tests.machine.overlay import UNSHARE, overlay_options, run_in_root
from tests.machine.rootfs import HOST_PACKAGES, host_root
from tests.machine.rootfs import root as root_of
from tests.machine.wheels import dependency_wheels
from tests.requirements import need, require_tools

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Where ModelGrid lives in a machine, and where its model lies.
VENV = "/opt/modelgrid"
MODEL = "/srv/models/gemma-3-270m.gguf"


#: A host with Docker in place of podman.
DOCKER_PACKAGES = (
    *sorted({*HOST_PACKAGES} - {"aardvark-dns", "crun", "netavark", "passt", "podman", "uidmap"}),
    "docker-cli",
    "docker.io",
)


def ready_layers(suite: str, *, docker: bool = False) -> tuple[Path, Path]:
    """A host of *suite* with what ModelGrid depends on in `VENV` and a model at `MODEL`; the topmost layer first.

    With *docker*, it has that in place of podman. The virtual environment sees the host's Python packages: pystemd is
    Debian's.
    """
    root = root_of(suite, DOCKER_PACKAGES, kind="docker") if docker else host_root(suite)
    version = run_in_root([root], ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    assert version.returncode == 0, version.stderr
    wheels = dependency_wheels(version.stdout.strip())
    inputs = (root.name, wheels.name, model_version(), VENV, MODEL)
    layer = cached(f"{'docked' if docker else 'ready'}-{suite}", inputs, lambda path: _make_ready(path, root, wheels))
    return layer / "upper", root


#: What a host needs beside this for whoever comes by ssh.
SSH_PACKAGES = ("openssh-server", "sudo")


def ssh_layers(suite: str) -> tuple[Path, ...]:
    """The same with a server of ssh, which starts at boot, and sudo."""
    below = ready_layers(suite)
    inputs = (*(layer.parent.name for layer in below), *SSH_PACKAGES)
    layer = cached(f"ssh-{suite}", inputs, lambda path: _make_ssh(path, below, apt_line(suite)))
    return layer / "upper", *below


def _make_ssh(path: Path, below: Sequence[Path], line: str | None) -> None:
    require_tools("unshare")
    if line is None:
        need("a Debian mirror", way="set MODELGRID_TEST_MIRROR to the address of one")
    for folder in ("upper", "work", "root"):
        (path / folder).mkdir(parents=True)
    install = f"""
echo {shlex.quote(line)} >/etc/apt/sources.list
apt-get -q -o Acquire::Languages=none update
apt-get -q install --yes --no-install-recommends {shlex.join(SSH_PACKAGES)}
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
"""
    script = f"""set -eu
cd {shlex.quote(str(cache_folder()))}
mount -t overlay overlay -o {overlay_options(below, path.name)} {path.name}/root
mount -t proc proc {path.name}/root/proc
mount --bind /dev {path.name}/root/dev
# the machines have no name server, and apt needs one
mount --bind /etc/resolv.conf {path.name}/root/etc/resolv.conf
exec env DEBIAN_FRONTEND=noninteractive chroot {path.name}/root bash -euc {shlex.quote(install)}
"""
    fetch([*UNSHARE, "sh", "-c", script], what="the packages of a server of ssh")


def _make_ready(path: Path, root: Path, wheels: Path) -> None:
    require_tools("unshare")
    for folder in ("upper", "work", "root"):
        (path / folder).mkdir(parents=True)
    install = f"""
python3 -m venv --system-site-packages {VENV}
{VENV}/bin/pip install --quiet --no-index --find-links=/mnt /mnt/*.whl
"""
    script = f"""set -eu
cd {shlex.quote(str(cache_folder()))}
mount -t overlay overlay -o {overlay_options([root], path.name)} {path.name}/root
mount -t proc proc {path.name}/root/proc
mount --bind {wheels.relative_to(cache_folder())} {path.name}/root/mnt
exec chroot {path.name}/root bash -euc {shlex.quote(install)}
"""
    subprocess.run([*UNSHARE, "sh", "-c", script], check=True, stdin=subprocess.DEVNULL, cwd=REPOSITORY)
    write_model(path / "upper" / MODEL.lstrip("/"))
