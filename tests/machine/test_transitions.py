"""What a plan lists is what systemd does: forty changes in a row on a whole machine, with servers of a second each."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.apply.transitions import LIGHT, STEPS, listed, short
from tests.machine.grid import FILE, Grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine


class Run(NamedTuple):
    """One run of a unit: its invocation, which a start makes anew, and when its state last changed."""

    invocation: str
    changed: str


@pytest.fixture
def grid(machine: Machine) -> Iterator[Grid]:
    grid = Grid(machine)
    yield grid
    grid.modelgrid("destroy", check=False)
    grid.close()


def runs(machine: Machine) -> Mapping[str, Run]:
    """The units of ours that are up, by their short names."""
    names = ("Id", "ActiveState", "InvocationID", "StateChangeTimestampMonotonic")
    shown = machine.run(["systemctl", "show", "modelgrid-*", *(f"--property={name}" for name in names)]).stdout
    units = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n") if block]
    return {
        short(unit["Id"]): Run(unit["InvocationID"], unit["StateChangeTimestampMonotonic"])
        for unit in units
        if unit["ActiveState"] in {"active", "reloading"}
    }


def happened(before: Mapping[str, Run], after: Mapping[str, Run]) -> list[str]:
    """What systemd did between two looks, as the lists have it."""
    found = []
    for unit in sorted(before.keys() | after.keys()):
        if unit not in after:
            found.append(f"stop {unit}")
        elif unit not in before:
            found.append(f"start {unit}")
        elif before[unit].invocation != after[unit].invocation:
            found.append(f"restart {unit}")
        elif before[unit] != after[unit]:
            found.append(f"reload {unit}")
    return sorted(found)


def test_what_the_plan_lists_is_what_systemd_does(grid: Grid, capsys: pytest.CaptureFixture[str]) -> None:
    grid.apply(LIGHT)
    text, before = LIGHT, runs(grid.machine)
    assert before
    for name, step in STEPS.items():
        text = step.of(text)
        grid.machine.write(FILE, text)
        applied = json.loads(grid.modelgrid("apply", FILE, "--json").stdout)
        after = runs(grid.machine)
        assert (name, listed(applied)) == (name, [job.strip("()") for job in step.happens])
        assert (name, happened(before, after)) == (name, step.jobs)
        before = after
    assert grid.plan()[0] == 0
    with capsys.disabled():
        print(f"\n  {len(STEPS)} changes in a row: each did what its plan lists, and nothing else")


def written(machine: Machine) -> str:
    """Every file and link of ours and beside it, with the times of its last changes."""
    folders = "/etc/modelgrid /etc/systemd/system /etc/containers /run/systemd/generator /run/modelgrid"
    found = f"find {folders} -printf '%p %T@ %C@ %l\\n' 2>/dev/null | sort"
    return machine.run(["sh", "-c", f"{found}; journalctl --boot --quiet | grep -cF 'Reloading...'"]).stdout


def test_an_apply_with_nothing_to_do_writes_nothing_and_is_quick(
    grid: Grid, capsys: pytest.CaptureFixture[str]
) -> None:
    grid.apply(LIGHT)
    before, up = written(grid.machine), runs(grid.machine)
    times: dict[str, list[float]] = {"check": [], "apply": []}
    for _ in range(5):
        for command, taken in times.items():
            start = time.monotonic()
            grid.modelgrid(command, FILE)
            taken.append(time.monotonic() - start)

    assert (written(grid.machine), runs(grid.machine)) == (before, up)
    check, applied = (min(taken) for taken in times.values())
    with capsys.disabled():
        print(f"\n  check takes {check:.2f} s, an apply with nothing to do {applied - check:.2f} s more")
    # half a second where nothing else runs; benchmarks/apply.py measures it
    assert applied - check < 1.5
