"""Programs of the host as hardened services: the embedded engine where the host has no llama-server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine.grid import ANSWERS, CHAT, FILE, GATEWAY, Grid
from tests.machine.layers import MODEL
from tests.machine.ready import remove_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

NATIVE = f"""\
version: 1
gateway:
  listen: 0.0.0.0:8080
  keys: [{{name: test, sha256: SHA256}}]
models:
  gemma:
    engine: llamacpp
    runtime: native
    source: {MODEL}
    context: 1024
    port: 9001
    args:
{ANSWERS}"""


@pytest.fixture
def grid(fresh_machine: Machine) -> Iterator[Grid]:
    """A host without podman, which a grid of programs does not need."""
    remove_packages(fresh_machine, "podman")
    grid = Grid(fresh_machine)
    grid.base = NATIVE.replace("SHA256", grid.base.split("sha256: ")[1][:64])
    yield grid
    grid.close()


def test_a_program_is_a_hardened_service_behind_the_gateway(grid: Grid) -> None:
    grid.apply()
    assert "Paris" in grid.ask(prompt="What is the capital of France?")
    assert grid.plan()[0] == 0

    pid = grid.properties(CHAT, "MainPID")["MainPID"]
    assert grid.machine.run(["ps", "-o", "user=", "-p", pid]).stdout.strip() not in {"", "root"}
    listening = grid.machine.run(["ss", "-Hltn", "sport = :9001"]).stdout.split()
    assert "127.0.0.1:9001" in listening
    security = ["systemd-analyze", "security", "--threshold=25", "--no-pager", CHAT]
    assert grid.machine.run(security, check=False).returncode == 0

    before = grid.invocations(CHAT, GATEWAY)
    grid.apply(grid.base.replace("context: 1024", "context: 2048"))
    after = grid.invocations(CHAT, GATEWAY)
    assert {unit for unit in before if before[unit] != after[unit]} == {CHAT}

    grid.modelgrid("destroy")
    assert grid.units() == set()
    assert not grid.machine.exists("/etc/modelgrid")


def test_a_port_that_another_program_has_is_told_and_changes_nothing(grid: Grid) -> None:
    grid.machine.run(["systemd-run", "--unit=other", "python3", "-m", "http.server", "9001", "--bind", "127.0.0.1"])
    refused = grid.apply(grid.base.replace("context: 1024", "start_timeout: 20s"), check=False)
    assert refused.returncode == 3
    assert "Traceback" not in refused.stderr
    assert grid.units() == set()
    assert grid.machine.exists(FILE)
