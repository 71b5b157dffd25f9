"""Interrupted changes at the next boot, by the recovery unit; and within the same boot, by the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.checks.hostchecks import settled
from modelgrid.apply.execute import apply, destroy, recover, rollback
from modelgrid.apply.observe import plan, status
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.links import links_of, owned_links
from modelgrid.errors import HostError
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.fakes import Killed, Machine, Steps
from tests.apply.test_crash import CHANGES, NEW, OLD, each_point, old, old_then_new
from tests.apply.trees import tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.emit.artifact import Artifact

pytestmark = pytest.mark.usefixtures("no_preflight")

UNIT = "/etc/systemd/system/modelgrid-recover.service"


def boot(machine: Machine) -> None:
    """Boot, with the recovery unit in its turn."""
    machine.power_cycle()
    if machine.pending() is not None or machine.real(str(machine.layout.probation)).exists():
        # systemd starts it only where it finds it
        assert machine.real("/etc/systemd/system/basic.target.wants/modelgrid-recover.service").is_symlink()
        assert machine.files.read(machine.layout.recovery_unit)
        recover(machine.host())
    machine.systemd.start_wanted()


def assert_settled(machine: Machine, allowed: Sequence[Sequence[Artifact]]) -> None:
    """One whole generation runs, or none was ever applied; nothing is under way, and no link leads nowhere."""
    assert machine.pending() is None
    assert not status(machine.host()).interrupted
    generations = Generations(machine.files, machine.layout)
    number = generations.current()
    found: tuple[Artifact, ...] = ()
    if number is None:
        assert machine.systemd.running == {}
    else:
        found = generations.read(number)
        assert found in [tuple(sorted(item)) for item in allowed]
        assert_runs(machine, found)
    layout = settled(machine.host()).layout
    expected = {*links_of(found, layout), *((layout.wants_link,) if found else ())}
    assert set(owned_links(machine.files, layout)) - layout.recovery_links.keys() == expected


@pytest.mark.parametrize("name", CHANGES)
def test_a_power_cut_anywhere_leaves_one_whole_generation_running_after_the_boot(folder: Path, name: str) -> None:
    prepare, operation, allowed = CHANGES[name]
    stride = 1 if name in {"first apply", "upgrade"} else 3
    for machine, point, _ in each_point(folder, prepare, operation, kill=True, stride=stride):
        interrupted = machine.pending() is not None
        boot(machine)
        assert_settled(machine, allowed)
        if interrupted:
            left = [path for path in machine.root.rglob("*") if path.name.startswith((".tmp-", ".old-"))]
            assert left == [], point
        apply(NEW, machine.host())
        assert_runs(machine, NEW)
        assert plan(NEW, machine.host()).empty


@pytest.mark.parametrize("name", CHANGES)
def test_a_second_power_cut_anywhere_in_the_recovery_is_survived(folder: Path, name: str) -> None:
    prepare, operation, allowed = CHANGES[name]
    for first in range(3, 1000, 13):
        for second in range(1, 100, 3):
            machine = Machine(folder / f"{first}-{second}")
            prepare(machine)
            try:
                operation(machine.host(Steps(kill_at=first)))
            except Killed:
                pass
            else:
                return
            machine.power_cycle()
            if machine.pending() is None:
                break
            try:
                recover(machine.host(Steps(kill_at=second)))
            except Killed:
                boot(machine)
                assert_settled(machine, allowed)
            else:
                break


def test_a_power_cut_anywhere_in_a_destroy_leaves_all_or_nothing_after_the_boot(folder: Path) -> None:
    for machine, point, _ in each_point(folder, old_then_new, destroy, kill=True):
        interrupted = machine.pending() is not None
        boot(machine)
        assert machine.pending() is None, point
        if interrupted:
            assert_nothing_left(machine)
        destroy(machine.host())
        assert_nothing_left(machine)


@pytest.mark.parametrize("name", CHANGES)
def test_killed_anywhere_the_command_brings_one_whole_generation_back_without_a_reboot(folder: Path, name: str) -> None:
    prepare, operation, allowed = CHANGES[name]
    for machine, _, _ in each_point(folder, prepare, operation, kill=True, stride=2):
        recover(machine.host())
        assert_settled(machine, allowed)


def interrupted(root: Path, *, at: str, new: Sequence[Artifact] = NEW) -> Machine:
    """An upgrade from OLD to *new* that ended before the first call that begins with *at*."""
    trial, machine = Machine(root / "trial"), Machine(root / "real")
    steps = Steps()
    old(trial)
    apply(new, trial.host(steps))
    point = next(number for number, name in enumerate(steps.taken, 1) if name.startswith(at))
    old(machine)
    changes = [name for name in steps.taken[:point] if name != "fsync" and not name.startswith("open_folder")]
    with pytest.raises(Killed):
        apply(new, machine.host(Steps(kill_at=len(changes))))
    return machine


def test_a_change_that_was_committed_goes_forward_and_one_that_was_not_goes_back(tmp_path: Path) -> None:
    for at, wanted in (("rename /etc/modelgrid/current", OLD), ("systemd daemon_reload", NEW)):
        machine = interrupted(tmp_path / at.split()[0], at=at)
        boot(machine)
        assert_runs(machine, wanted)


def test_a_current_generation_that_was_damaged_gives_way_to_the_one_before(tmp_path: Path) -> None:
    machine = interrupted(tmp_path, at="systemd daemon_reload")
    machine.real("/etc/modelgrid/generations/2/routing.json").write_text("")
    boot(machine)
    assert_runs(machine, OLD)
    assert machine.systemd.facts == ["reload", "start modelgrid.target"]


def test_where_no_generation_is_whole_nothing_is_touched(tmp_path: Path) -> None:
    machine = interrupted(tmp_path, at="systemd daemon_reload")
    for number in (1, 2):
        machine.real(f"/etc/modelgrid/generations/{number}/routing.json").write_text("")
    machine.power_cycle()
    before = machine.snapshot()
    with pytest.raises(HostError, match="generation 1 was altered"):
        recover(machine.host())
    assert machine.snapshot() == before


def test_a_change_that_was_on_its_way_back_goes_back(machine: Machine) -> None:
    old(machine)
    machine.systemd.broken = {"--ctx-size 8192"}
    for number in range(1, 1000):
        with pytest.raises((Killed, HostError)):
            apply(NEW, machine.host(Steps(kill_at=number)))
        if (machine.pending() or {}).get("phase") == "back":
            break
    assert machine.pending() is not None
    boot(machine)
    assert_runs(machine, OLD)


def test_no_unit_is_waited_for_at_boot(tmp_path: Path) -> None:
    machine = interrupted(tmp_path, at="rename /etc/modelgrid/current", new=tree((), ["b", "c"]))
    machine.power_cycle()
    steps = Steps()
    assert recover(machine.host(steps))
    assert [name for name in steps.taken if name.startswith("systemd")] == [
        "systemd daemon_reload",
        "systemd START modelgrid.target",
    ]


def test_without_an_interrupted_change_nothing_is_written(machine: Machine) -> None:
    assert not recover(machine.host())
    apply(tree(["a"]), machine.host())
    before = machine.snapshot()
    machine.facts()
    assert not recover(machine.host())
    assert machine.snapshot() == before
    assert machine.facts() == []


def test_the_unit_is_there_before_the_first_change_and_gone_with_the_last_of_us(machine: Machine) -> None:
    machine.systemd.broken = {"--ctx-size 4096"}
    with pytest.raises(HostError):
        apply(tree(["a"]), machine.host())
    assert not machine.real(UNIT).is_symlink()
    assert not machine.real("/etc/systemd/system/basic.target.wants").exists()
    machine.systemd.broken = set()
    apply(tree(["a"]), machine.host())
    assert machine.real(UNIT).readlink() == Path("/etc/modelgrid/state/modelgrid-recover.service")
    rollback_target = tree(["b"])
    apply(rollback_target, machine.host())
    rollback(machine.host())
    assert machine.real(UNIT).is_symlink()


def test_a_unit_of_another_by_that_name_is_in_the_way(machine: Machine) -> None:
    machine.real(UNIT).write_text("mine")
    with pytest.raises(HostError, match=r"in the way.*modelgrid-recover\.service"):
        apply(tree(["a"]), machine.host())


def test_an_interpreter_that_moved_gets_a_new_unit_with_the_next_change(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    apply(tree(["b"]), replace(machine.host(), python="/opt/elsewhere/bin/python3"))
    text = machine.files.read(machine.layout.recovery_unit).decode()
    assert "ExecStart=/opt/elsewhere/bin/python3 -P -m modelgrid recover\n" in text
