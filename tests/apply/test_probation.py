"""Changes that come undone unless they are confirmed: by the timer, by a reboot, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.execute import apply, confirm, destroy, recover, rollback
from modelgrid.apply.observe import plan, status
from modelgrid.apply.store.generations import Generations
from modelgrid.errors import HostError
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.fakes import Killed, Machine, Steps
from tests.apply.test_crash import NEW, OLD, each_point, old
from tests.apply.test_recovery import assert_settled, boot
from tests.apply.trees import tree

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_preflight")


def on_probation(machine: Machine) -> None:
    """NEW, generation 2, for 300 s in place of OLD."""
    old(machine)
    apply(NEW, machine.host(), probation=300)


def test_the_timer_and_the_record_are_there_when_the_change_is_done(machine: Machine) -> None:
    on_probation(machine)
    assert_runs(machine, NEW)
    (timer,) = machine.processes.timers
    assert {"systemd-run", "--unit=modelgrid-revert", "--on-active=300000ms", "recover", "--expired=2"} <= set(timer)
    found = status(machine.host()).probation
    assert found is not None
    assert (found.generation, found.back_to) == (2, 1)
    assert found.until == machine.host().now().timestamp() + 300


def test_unconfirmed_the_generation_before_comes_back_and_the_new_one_stays_on_the_disk(machine: Machine) -> None:
    on_probation(machine)
    machine.facts()
    assert recover(machine.host(), expired=2)
    assert_runs(machine, OLD)
    found = status(machine.host())
    assert (found.generation, found.confirmed, found.interrupted, found.probation) == (1, 1, False, None)
    assert plan(OLD, machine.host()).empty
    assert Generations(machine.files, machine.layout).numbers() == (1, 2)
    # what both have runs on
    assert "restart modelgrid-model-b.service" not in machine.facts()
    apply(NEW, machine.host())
    assert_runs(machine, NEW)


def test_confirmed_it_stays_whatever_the_timer_does(machine: Machine) -> None:
    on_probation(machine)
    assert confirm(machine.host()) == 2
    before = machine.snapshot()
    assert not recover(machine.host(), expired=2)
    assert not recover(machine.host())
    assert machine.snapshot() == before
    boot(machine)
    assert_runs(machine, NEW)
    with pytest.raises(HostError, match="no change is on probation"):
        confirm(machine.host())


def test_within_the_time_nothing_but_the_timer_takes_it_back(machine: Machine) -> None:
    on_probation(machine)
    assert not recover(machine.host())
    assert not recover(machine.host(), expired=1)
    assert_runs(machine, NEW)


def test_a_reboot_takes_it_back(machine: Machine) -> None:
    on_probation(machine)
    machine.power_cycle()
    assert recover(machine.host())
    machine.systemd.start_wanted()
    assert_settled(machine, [OLD])
    assert status(machine.host()).probation is None


def test_a_first_change_comes_undone_altogether(machine: Machine) -> None:
    for reboot in (False, True):
        apply(tree(["a"], ["b"]), machine.host(), probation=1)
        if reboot:
            machine.power_cycle()
        assert recover(machine.host(), expired=None if reboot else 1)
        assert machine.current() is None
        assert machine.systemd.running == {}
        assert Generations(machine.files, machine.layout).numbers() == ()
        assert not machine.real("/etc/systemd/system/modelgrid-recover.service").is_symlink()
        assert machine.files.listdir(machine.layout.state) in {(), ("confirmed.json", "lineage.json")}


def test_another_change_is_refused_meanwhile_and_rollback_or_destroy_end_it(machine: Machine) -> None:
    on_probation(machine)
    with pytest.raises(HostError, match="generation 2 is on probation until") as caught:
        apply(OLD, machine.host())
    assert "modelgrid confirm" in str(caught.value.hint)
    with pytest.raises(HostError, match="generation 2 is on probation until"):
        rollback(machine.host(), probation=5)
    rollback(machine.host())
    assert_runs(machine, OLD)
    assert status(machine.host()).probation is None

    apply(NEW, machine.host(), probation=300)
    destroy(machine.host())
    assert_nothing_left(machine)


def test_a_rollback_can_be_on_probation_too(machine: Machine) -> None:
    old(machine)
    apply(NEW, machine.host())
    rollback(machine.host(), probation=5)
    assert_runs(machine, OLD)
    assert recover(machine.host(), expired=1)
    assert_runs(machine, NEW)


def test_a_rollback_that_fails_leaves_the_probation_as_it_was(machine: Machine) -> None:
    on_probation(machine)
    machine.systemd.broken = {"--ctx-size 4096"}
    with pytest.raises(HostError):
        rollback(machine.host())
    machine.systemd.broken = set()
    assert status(machine.host()).probation is not None
    assert recover(machine.host(), expired=2)
    assert status(machine.host()).generation == 1


def test_without_a_timer_the_change_is_taken_back_at_once(machine: Machine) -> None:
    old(machine)
    machine.processes.timer_stderr = "Failed to connect to bus: Connection refused\n"
    with pytest.raises(HostError, match=r"systemd-run makes no timer .*Connection refused; generation 1 runs again"):
        apply(NEW, machine.host(), probation=300)
    assert_runs(machine, OLD)
    assert status(machine.host()).probation is None


def test_where_nothing_changes_nothing_is_on_probation(machine: Machine) -> None:
    old(machine)
    assert apply(OLD, machine.host(), probation=300).probation is None
    assert machine.processes.timers == []


def test_killed_anywhere_a_boot_ends_the_probation(folder: Path) -> None:
    for machine, point, _ in each_point(folder, old, lambda host: apply(NEW, host, probation=300), kill=True, stride=2):
        was = status(machine.host()).probation
        boot(machine)
        assert_settled(machine, [OLD] if was is not None else [OLD, NEW])
        assert status(machine.host()).probation is None, point


def test_killed_anywhere_on_the_way_back_the_next_try_of_the_timer_ends_it(folder: Path) -> None:
    def expire(host: object) -> object:
        return recover(host, expired=2)  # type: ignore[arg-type]  # a host, as each_point gives it

    for machine, _, failed in each_point(folder, on_probation, expire, kill=True, stride=2):
        if failed and not recover(machine.host(), expired=2):
            recover(machine.host())
        assert_settled(machine, [OLD])
        assert status(machine.host()).probation is None


def test_killed_in_a_confirm_it_is_confirmed_or_still_on_probation(folder: Path) -> None:
    for number in range(1, 10):
        machine = Machine(folder / str(number))
        on_probation(machine)
        try:
            confirm(machine.host(Steps(kill_at=number)))
        except Killed:
            assert_runs(machine, NEW)
            if status(machine.host()).probation is not None:
                confirm(machine.host())
        assert not recover(machine.host(), expired=2)
