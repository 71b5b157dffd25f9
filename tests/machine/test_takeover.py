"""The gateway on a machine: its keys, and its own restart under load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from tests.gateway.load import Load
from tests.machine import tiny
from tests.machine.grid import CHAT, FILE, GATEWAY, Grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

MODELS = f"""\
engines:
{tiny.ENGINE}
models:
  gemma: {{engine: tiny, source: {tiny.PATH}}}
"""
RUNTIME = "/run/modelgrid-gateway"
#: The same interpreter by another name, as an update of ModelGrid would bring it.
OTHER = "/opt/modelgrid-other"


@pytest.fixture
def grid(machine: Machine) -> Iterator[Grid]:
    grid = Grid(machine)
    machine.write(tiny.PATH, tiny.PROGRAM)
    grid.base = grid.base.partition("engines:")[0].replace("[embedder]", "[g*]") + MODELS
    grid.apply()
    yield grid
    grid.modelgrid("destroy")
    machine.run(["rm", "-rf", OTHER, tiny.PATH])
    grid.close()


def test_new_keys_are_a_reload_and_are_in_effect_when_apply_is_done(grid: Grid, machine: Machine) -> None:
    process = grid.properties(GATEWAY, "MainPID")["MainPID"]
    user = machine.run(["ps", "-o", "uid=", "-p", process]).stdout.strip()
    shown = machine.run(["stat", "-c", "%a %u", f"{RUNTIME}/", f"{RUNTIME}/keys.json"]).stdout.splitlines()
    assert shown == [f"700 {user}", "444 0"]
    assert user != "0"
    for path in (RUNTIME, f"{RUNTIME}/keys.json"):
        refused = machine.run(
            ["runuser", "-u", "nobody", "--", "ls", f"{path}/" if path == RUNTIME else path], check=False
        )
        assert "Permission denied" in refused.stderr

    before = grid.invocations(CHAT, GATEWAY)
    narrow = grid.client(grid.narrow_key)
    assert [model.id for model in narrow.models.list()] == ["gemma"]
    grid.apply("\n".join(line for line in grid.base.splitlines() if "narrow" not in line) + "\n")
    with pytest.raises(openai.AuthenticationError):
        narrow.models.list()
    grid.apply()
    assert [model.id for model in narrow.models.list()] == ["gemma"]
    assert grid.invocations(CHAT, GATEWAY) == before


def test_the_gateway_restarts_under_load_and_no_request_fails(
    grid: Grid, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.run(["ln", "-s", "/opt/modelgrid", OTHER])
    before = grid.invocations(CHAT, GATEWAY)
    with Load(8080, host=machine.address, key=grid.key, model="gemma", stream={"max_tokens": 200}, each=4) as load:
        machine.wait_until(lambda: min(load.done.values()) > 20, what="the load")
        done = machine.run([f"{OTHER}/bin/python", "-m", "modelgrid", "apply", FILE], timeout=120)
        reached = dict(load.done)
        machine.wait_until(lambda: all(load.done[kind] > reached[kind] + 20 for kind in reached), what="more of it")
    with capsys.disabled():
        print(f"\n  the gateway was restarted: {load}")

    assert load.failures == []
    assert "second gateway takes over" in done.stderr
    after = grid.invocations(CHAT, GATEWAY)
    assert {unit for unit in before if before[unit] != after[unit]} == {GATEWAY}
    assert OTHER in grid.properties(GATEWAY, "ExecStart")["ExecStart"]
    assert not machine.exists("/run/modelgrid/serving.json")
    assert (
        machine.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "modelgrid-standin*"]).stdout == ""
    )
    workers = machine.run(["find", f"{RUNTIME}/", "-name", "worker-*"]).stdout.splitlines()
    assert len(workers) == 1
