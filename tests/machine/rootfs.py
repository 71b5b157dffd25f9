"""Debian root file systems, made by mmdebstrap and kept in the cache.

Nobody boots or changes one in place: `tests.machine.overlay` lays a throwaway layer over it.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.machine.archive import apt_line
from tests.machine.cache import cached
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

#: A host with systemd and nothing of what ModelGrid wants from it.
BARE_PACKAGES = ("dbus", "iproute2", "python3", "systemd", "systemd-sysv")

#: Options that change what is installed are part of an entry's name; see `root`.
OPTIONS = (
    # a suite that is not released yet may have a Release file past its date
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
)


def default_suite() -> str:
    """The suite of machines that do not ask for another: ``$MODELGRID_TEST_SUITE``, else trixie."""
    return os.environ.get("MODELGRID_TEST_SUITE") or SUITES[0]


def root(suite: str, packages: Sequence[str], *, kind: str) -> Path:
    """A root file system of *suite* with *packages* and what they depend on, read-only for its users.

    *kind* names it in the cache. About 30 s when it is not there yet.
    """
    inputs = (suite, *sorted(packages), *OPTIONS)
    return cached(f"{kind}-{suite}", inputs, lambda path: _bootstrap(suite, path, packages))


def host_root(suite: str) -> Path:
    """A host with systemd, podman and Python."""
    return root(suite, HOST_PACKAGES, kind="host")


def bare_root(suite: str) -> Path:
    """A host with systemd and Python, without podman."""
    return root(suite, BARE_PACKAGES, kind="bare")


def _bootstrap(suite: str, path: Path, packages: Sequence[str]) -> None:
    require_root()
    require_tools("mmdebstrap")
    line = apt_line(suite)
    if line is None:
        need("a Debian mirror", way="set MODELGRID_TEST_MIRROR to the address of one")
    include = f"--include={','.join(packages)}"
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", include, *OPTIONS, suite, str(path), line]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
