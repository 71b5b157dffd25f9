"""What tests need from the machine that they run on, and how to get it when it is not there.

Locally a test whose need is not met is skipped, with the reason and the way out. With ``MODELGRID_REQUIRE_ALL=1``,
as in CI, the same skip is a failure (see ``tests/conftest.py``): a green run there has run everything.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from typing import NoReturn

import pytest

#: Debian package of each tool that tests use, where its name is not the tool's own.
PACKAGES = {
    "ignition-validate": "ignition",
    "ip": "iproute2",
    "nix-instantiate": "nix-bin",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}


def require_all() -> bool:
    """Whether a skipped test counts as a failed one."""
    return os.environ.get("MODELGRID_REQUIRE_ALL") == "1"


def need(what: str, *, way: str) -> NoReturn:
    """Skip the running test, saying *what* it needs and the *way* to get it."""
    pytest.skip(f"needs {what}: {way}")


def require_linux() -> None:
    """Skip the running test on anything but Linux."""
    if sys.platform != "linux":
        need("Linux", way="run it there")


def require_root() -> None:
    """Skip the running test unless it runs as root on Linux (mounts and namespaces are made)."""
    require_linux()
    if os.geteuid() != 0:
        need("root", way="run `sudo make test`")


def require_tools(*tools: str) -> None:
    """Skip the running test unless every one of *tools* is on the PATH."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES.get(tool, tool) for tool in missing}))
        need(", ".join(missing), way=f"apt install {packages}")


def require_modules(*modules: str, extra: str) -> None:
    """Skip the running test unless Python finds *modules*, which the project's extra *extra* brings."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        need(f"Python's {', '.join(missing)}", way=f"pip install 'modelgrid[{extra}]'")
