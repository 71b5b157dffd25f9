"""Fixtures: hosts that ssh reaches, on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from modelgrid import __version__
from tests.remote.hosts import Hosts
from tests.requirements import need

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """An ``ssh`` that goes nowhere, first on the PATH."""
    if sys.platform == "win32":
        need("a POSIX shell", way="run it on Linux or macOS")
    folder = tmp_path / "bin"
    folder.mkdir()
    hosts = Hosts(folder, version=__version__)
    for name, value in hosts.environment().items():
        monkeypatch.setenv(name, value)
    # so that what is asked of it is about nothing real
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return hosts
