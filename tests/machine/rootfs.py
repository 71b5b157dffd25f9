"""Debian root file systems, made by mmdebstrap and kept in the cache.

Nobody boots or changes one in place: `tests.machine.overlay` lays a throwaway layer over it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.machine.archive import apt_line
from tests.machine.cache import cached, fetch
from tests.requirements import need, require_root, require_tools

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: What each suite brings: trixie has podman 5.4 and systemd 257, forky podman 5.8 and systemd 26x.
SUITES = ("trixie", "forky")

#: A host as ModelGrid expects it. polkitd: units are started by users whom a rule names. python3-pystemd: on PyPI
#: pystemd has no wheels, and a host should need no compiler.
HOST_PACKAGES = (
    "aardvark-dns",
    "ca-certificates",
    "crun",
    "curl",
    "dbus",
    "dbus-user-session",
    "iproute2",
    "iptables",
    "netavark",
    "nftables",
    "passt",
    "podman",
    "polkitd",
    "procps",
    "python3",
    "python3-pystemd",
    "python3-venv",
    "systemd",
    "systemd-sysv",
    "uidmap",
)

#: What a suite needs beside these. The crun of Debian 12 raises a limit that the sandbox may not raise; runc does not.
ADDED = {"bookworm": ("runc",)}

#: What mmdebstrap is told besides the suite and the packages.
OPTIONS = (
    # a suite that is not released yet may have a Release file past its date
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
)


#: Units that have nothing to do in a machine for tests, or that its sandbox refuses.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "fstrim.timer",
    "systemd-modules-load.service",
    "systemd-pstore.service",
)

#: Files that every root file system gets.
FILES = {
    "etc/hostname": "host\n",
    "etc/hosts": "127.0.0.1 localhost host\n::1 localhost\n",
    # no name server, so that a look-up fails at once
    "etc/resolv.conf": "",
    # the sandbox has no pids controller, so podman's default limit has nothing to be set in
    "etc/containers/containers.conf.d/sandbox.conf": "[containers]\npids_limit=0\n",
}


def default_suite() -> str:
    """The suite of machines that do not ask for another: ``$MODELGRID_TEST_SUITE``, else trixie."""
    return os.environ.get("MODELGRID_TEST_SUITE") or SUITES[0]


def root(suite: str, packages: Sequence[str], *, kind: str) -> Path:
    """A root file system of *suite* with *packages* and what they depend on, read-only for its users.

    *kind* names it in the cache. About 30 s when it is not there yet.
    """
    inputs = (suite, *sorted(packages), *OPTIONS, *MASKED, repr(FILES))
    return cached(f"{kind}-{suite}", inputs, lambda path: _make_root(suite, path, packages))


def host_root(suite: str) -> Path:
    """A host with systemd, podman and Python."""
    return root(suite, (*HOST_PACKAGES, *ADDED.get(suite, ())), kind="host")


def bootstrap(suite: str, path: Path, packages: Sequence[str], *, variant: str) -> None:
    """Make *path*, a folder or a tar as its name says, of *suite* with *packages*; mmdebstrap(1) has each *variant*."""
    require_root()
    require_tools("mmdebstrap")
    line = apt_line(suite)
    if line is None:
        need("a Debian mirror", way="set MODELGRID_TEST_MIRROR to the address of one")
    include = f"--include={','.join(packages)}"
    argv = ["mmdebstrap", "--quiet", f"--variant={variant}", include, *OPTIONS, suite, str(path), line]
    fetch(argv, what=f"packages of Debian {suite}")


def _make_root(suite: str, path: Path, packages: Sequence[str]) -> None:
    bootstrap(suite, path, packages, variant="minbase")
    for name, text in FILES.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text, encoding="utf-8")
    for unit in MASKED:
        link = path / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    # systemd's ConditionNeedsUpdate=: nothing is to be brought up to date at the first boot
    for stamp in ("etc/.updated", "var/.updated"):
        (path / stamp).touch()
