"""Programs of the host: what ends how, and what is asked once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.process import NOT_FOUND, TIMED_OUT, HostProcesses

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A program that counts how often it runs, and fails while a file says so."""
    path = tmp_path / "program"
    path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/runs\ntest ! -e {tmp_path}/broken && echo 5.4.2\n')
    path.chmod(0o755)
    return str(path)


def test_a_version_is_asked_once_and_all_else_each_time(program: str, tmp_path: Path) -> None:
    processes = HostProcesses()
    (tmp_path / "broken").touch()
    assert processes.run(program, "--version").returncode == 1
    (tmp_path / "broken").unlink()
    for _ in range(3):
        assert processes.run(program, "--version").stdout == "5.4.2\n"
        processes.run(program, "ps")

    assert (tmp_path / "runs").read_text().split() == ["--version", "--version", "ps", "ps", "ps"]
    HostProcesses().run(program, "--version")
    assert (tmp_path / "runs").read_text().count("--version") == 3


def test_a_program_that_is_missing_or_hangs_ends_all_the_same(tmp_path: Path) -> None:
    processes = HostProcesses()
    assert processes.run(str(tmp_path / "none"), "--version").returncode == NOT_FOUND
    assert processes.run("sleep", "60", timeout=0.05).returncode == TIMED_OUT
