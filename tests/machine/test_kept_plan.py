"""A kept plan on a whole machine: done as shown, and refused once something of the machine has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apply.transitions import LIGHT
from tests.machine.grid import FILE, Grid

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

PLAN = "/root/grid.plan"


@pytest.fixture
def grid(fresh_machine: Machine) -> Iterator[Grid]:
    grid = Grid(fresh_machine)
    yield grid
    grid.close()


def keep(grid: Grid, text: str) -> None:
    grid.machine.write(FILE, text)
    assert grid.modelgrid("plan", FILE, "-o", PLAN, check=False).returncode == 2


def refused(grid: Grid) -> subprocess.CompletedProcess[str]:
    before = grid.machine.run(["ls", "-l", "/etc/modelgrid/generations"], check=False).stdout
    done = grid.modelgrid("apply", PLAN, check=False)
    assert done.returncode == 1
    assert "the plan is no longer of use" in done.stderr
    assert grid.machine.run(["ls", "-l", "/etc/modelgrid/generations"], check=False).stdout == before
    return done


def test_a_kept_plan_is_done_or_says_what_moved(grid: Grid) -> None:
    keep(grid, LIGHT)
    assert grid.machine.run(["stat", "-c", "%a", PLAN]).stdout.strip() == "600"
    grid.modelgrid("apply", PLAN)
    assert grid.plan()[0] == 0
    assert "something was applied since" in refused(grid).stderr

    keep(grid, LIGHT.replace("MODE: fast", "MODE: slow"))
    _, plan = grid.plan()
    (restart,) = (action for action in plan["actions"] if action["unit"] == "modelgrid-model-a.service")
    assert [(item["path"], item["place"]["line"]) for item in restart["settings"]] == [
        ("$.engines.light.env_native.MODE", 11)
    ]
    (away,) = (item for item in plan["downtime"] if item["model"] == "a")
    assert 0 < away["expected_s"] < away["bound_s"]
    grid.machine.run(["systemctl", "stop", "modelgrid-model-a.service"])
    assert "modelgrid-model-a.service was loaded and active, and is loaded and inactive" in refused(grid).stderr
    grid.machine.run(["systemctl", "start", "modelgrid-model-a.service"])
    grid.modelgrid("apply", PLAN)

    keep(grid, LIGHT)
    grid.machine.reboot()
    grid.machine.wait_until(
        lambda: "modelgrid-gateway.service" in grid.machine.run(["systemctl", "list-units", "--state=active"]).stdout,
        what="the gateway",
    )
    assert "the machine was booted since" in refused(grid).stderr
