"""Secrets on a machine: a rotated one restarts its users alone, and no value is anywhere but where it must be."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.machine import tiny
from tests.machine.grid import CHAT, EMBED, FILE, GATEWAY, Grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

LICENCE = "/srv/secrets/licence"
CONFIG = f"""\
version: 1
engines:
{tiny.ENGINE}
models:
  gemma:
    engine: tiny
    source: {tiny.PATH}
    secrets: {{FIRST: first, SECOND_FILE: second}}
    # as images do whose server is not root
    quadlet: {{User: "1000"}}
  embedder: {{engine: tiny, source: {tiny.PATH}, secrets: {{SECOND_FILE: second, LICENCE_FILE: licence}}}}
secrets:
  first: {{podman: first}}
  second: {{podman: second}}
  licence: {{file: {LICENCE}}}
"""


def put(machine: Machine, name: str, value: str) -> None:
    """Give podman's secret *name* a value; like people, by stdin."""
    machine.run(["podman", "secret", "create", "--replace", name, "-"], input=value)


@pytest.fixture
def grid(machine: Machine) -> Iterator[Grid]:
    grid = Grid(machine)
    machine.write(tiny.PATH, tiny.PROGRAM)
    grid.base = CONFIG
    yield grid
    grid.modelgrid("destroy")
    machine.run(["podman", "secret", "rm", "first", "second"], check=False)
    machine.run(["rm", "-rf", "/srv/secrets", tiny.PATH])
    grid.close()


def inside(machine: Machine, model: str, script: str) -> str:
    return machine.run(["podman", "exec", f"modelgrid-model-{model}", "sh", "-c", script]).stdout


def test_a_rotated_secret_restarts_its_user_alone_and_its_value_is_nowhere_else(grid: Grid, machine: Machine) -> None:
    canaries = [secrets.token_hex(16) for _ in range(5)]
    machine.write(FILE, grid.base)
    refused = grid.modelgrid("apply", FILE, check=False)
    assert refused.returncode == 3
    for missing in ("no secret first", "no secret second", LICENCE):
        assert missing in refused.stderr
    planned = grid.modelgrid("plan", FILE, check=False)
    assert planned.returncode == 1
    assert planned.stderr.count("apply would refuse") == 3
    assert f"start    {CHAT}" in planned.stdout

    put(machine, "first", canaries[0])
    put(machine, "second", canaries[1])
    machine.write(LICENCE, canaries[2], mode=0o600)
    grid.apply()
    assert grid.plan()[0] == 0
    assert inside(machine, "gemma", "echo $FIRST").strip() == canaries[0]
    assert inside(machine, "gemma", "id -u; cat $SECOND_FILE") == f"1000\n{canaries[1]}"
    assert inside(machine, "embedder", "cat $SECOND_FILE $LICENCE_FILE") == canaries[1] + canaries[2]

    before = grid.invocations(CHAT, EMBED, GATEWAY)
    put(machine, "first", canaries[3])
    code, plan = grid.plan()
    assert code == 2
    assert [(item["action"], item["unit"], item["reasons"]) for item in plan["actions"]] == [
        ("restart", CHAT, ['secret "first" was rotated'])
    ]
    shown = [plan, grid.modelgrid("plan", FILE, check=False).stdout, grid.modelgrid("apply", FILE).stderr]
    after = grid.invocations(CHAT, EMBED, GATEWAY)
    assert {unit for unit in before if before[unit] != after[unit]} == {CHAT}
    assert inside(machine, "gemma", "echo $FIRST").strip() == canaries[3]

    machine.write(f"{LICENCE}.new", canaries[4], mode=0o600)
    machine.run(["mv", f"{LICENCE}.new", LICENCE])
    shown.append(grid.modelgrid("apply", FILE, "--json").stdout)
    last = grid.invocations(CHAT, EMBED, GATEWAY)
    assert {unit for unit in after if after[unit] != last[unit]} == {EMBED}
    assert inside(machine, "embedder", "cat $LICENCE_FILE") == canaries[4]
    assert grid.plan()[0] == 0

    shown += [grid.modelgrid("status").stdout, grid.modelgrid("status", "--json").stdout]
    shown += [machine.journal(), machine.run(["ps", "-eww", "-o", "args"]).stdout]
    shown += [machine.run(["systemctl", "show", "--all", "*"]).stdout]
    shown += [machine.run(["systemctl", "cat", "modelgrid*"]).stdout]
    for canary in canaries:
        assert [text for text in map(str, shown) if canary in text] == []
        found = [
            "grep",
            "-rlF",
            canary,
            "/etc/modelgrid",
            "/etc/containers",
            "/etc/systemd",
            "/run/systemd",
            "/var/log",
        ]
        assert machine.run(found, check=False).stdout == ""
