"""Killed or failed at each call that changes a file or asks something of systemd, until no call is left."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.observe import plan
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.retention import Retention
from modelgrid.errors import HostError
from modelgrid.ir import Manager
from tests.apply.checks import assert_current_is_whole, assert_nothing_left, assert_runs
from tests.apply.equipment import equip
from tests.apply.fakes import Killed, Machine, Steps
from tests.apply.foreign import FILES, assert_foreign_is_back, assert_nothing_foreign_is_lost, put_foreign
from tests.apply.test_planner import trees
from tests.apply.trees import hosted, tree

pytestmark = pytest.mark.usefixtures("no_preflight")

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.emit.artifact import Artifact

    Prepare = Callable[[Machine], None]
    Operation = Callable[[Host], object]


OLD = tree({"a": 4096, "gone": 4096}, {"b": 4096}, pulled="example.org/serve:1")
NEW = tree(
    {"a": 8192, "more": 4096}, {"b": 4096}, pulled="example.org/serve:2", subnet="10.9.0.0/16", key_names=["team"]
)
OTHER = tree({"a": 512}, {"b": 512})
DOCKED = hosted(Manager.DOCKER)
DOCKED_ANEW = hosted(Manager.DOCKER, subnet="10.99.0.0/16")


def nothing(machine: Machine) -> None:
    """A host that nothing was applied to."""


def old(machine: Machine) -> None:
    apply(OLD, machine.host())


def old_then_new(machine: Machine) -> None:
    apply(OLD, machine.host())
    apply(NEW, machine.host())


def old_on_an_older_podman(machine: Machine) -> None:
    """Each quadlet has a link of its own."""
    machine.processes.podman, machine.systemd.follows_folders = "podman version 4.9.3", False
    apply(OLD, machine.host())


def docked(machine: Machine) -> None:
    equip(machine, DOCKED)
    apply(DOCKED, machine.host())


def each_point(
    folder: Path, prepare: Prepare, operation: Operation, *, kill: bool, stride: int = 1
) -> list[tuple[Machine, str, bool]]:
    """Run *operation* again and again, stopped *stride* calls later each time; the last run comes to its end."""
    outcomes = []
    for number in range(1, 1000, stride):
        root = folder / str(number)
        root.mkdir()
        machine = Machine(root)
        prepare(machine)
        machine.facts()
        steps = Steps(kill_at=number) if kill else Steps(fail_at=number, code=errno.ENOSPC)
        failed = False
        try:
            operation(machine.host(steps))
        except (Killed, HostError):
            failed = True
        reached = len(steps.taken) >= number
        outcomes.append((machine, steps.taken[number - 1] if reached else "", failed))
        if not reached:
            assert number > 20  # or the calls are not counted
            return outcomes
    raise AssertionError("no end")


CHANGES: dict[str, tuple[Prepare, Operation, Sequence[Sequence[Artifact]]]] = {
    "first apply": (nothing, lambda host: apply(NEW, host), [NEW]),
    "upgrade": (old, lambda host: apply(NEW, host), [OLD, NEW]),
    "rollback": (old_then_new, rollback, [OLD, NEW]),
    "upgrade that prunes": (old_then_new, lambda host: apply(OTHER, host, retention=Retention(keep=1)), [NEW, OTHER]),
    "upgrade with a link for each quadlet": (old_on_an_older_podman, lambda host: apply(NEW, host), [OLD, NEW]),
    "upgrade of services of Docker": (docked, lambda host: apply(DOCKED_ANEW, host), [DOCKED, DOCKED_ANEW]),
}
#: What runs before each, and what after.
ENDS: dict[str, tuple[Sequence[Artifact] | None, Sequence[Artifact]]] = {
    "first apply": (None, NEW),
    "upgrade": (OLD, NEW),
    "rollback": (NEW, OLD),
    "upgrade that prunes": (NEW, OTHER),
    "upgrade with a link for each quadlet": (OLD, NEW),
    "upgrade of services of Docker": (DOCKED, DOCKED_ANEW),
}


@pytest.mark.parametrize("name", CHANGES)
def test_killed_anywhere_the_current_generation_is_whole_and_the_next_apply_succeeds(folder: Path, name: str) -> None:
    prepare, operation, allowed = CHANGES[name]
    for machine, point, _ in each_point(folder, prepare, operation, kill=True):
        if prepare is not nothing or machine.current() is not None:
            assert_current_is_whole(machine, allowed)
        apply(NEW, machine.host())
        assert_runs(machine, NEW)
        assert machine.pending() is None, point
        leftovers = [path for path in machine.root.rglob("*") if path.name.startswith((".tmp-", ".old-"))]
        assert leftovers == [], point


@pytest.mark.parametrize("name", ["upgrade", "rollback"])
def test_killed_anywhere_the_next_apply_of_something_else_succeeds(folder: Path, name: str) -> None:
    prepare, operation, _ = CHANGES[name]
    for machine, _, _ in each_point(folder, prepare, operation, kill=True, stride=4):
        apply(OTHER, machine.host())
        assert_runs(machine, OTHER)


def test_killed_anywhere_in_an_upgrade_to_a_broken_model_the_old_one_comes_back(folder: Path) -> None:
    def prepare(machine: Machine) -> None:
        old(machine)
        machine.systemd.broken = {"--ctx-size 8192"}

    for machine, _, _ in each_point(folder, prepare, lambda host: apply(NEW, host), kill=True, stride=5):
        assert_current_is_whole(machine, [OLD, NEW])
        apply(OLD, machine.host())
        assert_runs(machine, OLD)


def test_killed_anywhere_in_destroy_the_next_destroy_or_apply_succeeds(folder: Path) -> None:
    for number, (machine, _, _) in enumerate(each_point(folder, old_then_new, destroy, kill=True)):
        if number % 2:
            destroy(machine.host())
            assert_nothing_left(machine)
        else:
            apply(OTHER, machine.host())
            assert_runs(machine, OTHER)


@pytest.mark.parametrize("name", CHANGES)
def test_killed_anywhere_and_again_anywhere_in_the_recovery_the_third_apply_succeeds(folder: Path, name: str) -> None:
    prepare, operation, allowed = CHANGES[name]
    # a grid of first and second points, for their square would be thousands
    for first in range(3, 1000, 19):
        for second in range(2, 1000, 17):
            root = folder / f"{first}-{second}"
            root.mkdir()
            machine = Machine(root)
            prepare(machine)
            try:
                operation(machine.host(Steps(kill_at=first)))
            except Killed:
                pass
            else:
                return
            try:
                apply(NEW, machine.host(Steps(kill_at=second)))
            except Killed:
                if prepare is not nothing or machine.current() is not None:
                    assert_current_is_whole(machine, [*allowed, NEW])
                apply(NEW, machine.host())
            assert_runs(machine, NEW)
            if second > 100:
                break


def occupied(machine: Machine) -> None:
    """A host where another has files in our places, whose units run."""
    put_foreign(machine)


@pytest.mark.parametrize("recovery", ["apply", "apply and adopt", "rollback", "destroy"])
def test_killed_anywhere_while_it_takes_over_nothing_of_another_is_lost(folder: Path, recovery: str) -> None:
    points = each_point(folder, occupied, lambda host: apply(NEW, host, adopt=True), kill=True)
    taken = 0
    for machine, point, _ in points:
        assert_nothing_foreign_is_lost(machine)
        begun = machine.pending() is not None
        with contextlib.suppress(HostError):
            match recovery:
                case "apply":
                    # what was begun is finished without being asked for again; else it is in the way
                    apply(NEW, machine.host())
                case "apply and adopt":
                    apply(NEW, machine.host(), adopt=True)
                case "rollback":
                    rollback(machine.host())
                case _:
                    destroy(machine.host())
        assert_nothing_foreign_is_lost(machine)
        assert machine.pending() is None, point
        if machine.current() is not None:
            assert_runs(machine, NEW)
            taken += begun
        elif recovery != "destroy":
            assert recovery != "apply and adopt"
            assert_foreign_is_back(machine)
        destroy(machine.host())
        assert {path: machine.real(path).read_text() for path in FILES} == FILES, point
        assert not machine.real("/etc/modelgrid").exists(), point
    assert len(points) > 60
    assert taken > 20 or recovery in {"rollback", "destroy"}


def test_a_call_that_fails_anywhere_while_it_takes_over_puts_everything_back(folder: Path) -> None:
    for machine, point, failed in each_point(folder, occupied, lambda host: apply(NEW, host, adopt=True), kill=False):
        if failed:
            assert machine.current() is None, point
            assert_foreign_is_back(machine)
        else:
            assert_runs(machine, NEW)
        apply(NEW, machine.host(), adopt=True)
        assert_runs(machine, NEW)
        assert_nothing_foreign_is_lost(machine)


def test_killed_anywhere_while_destroy_puts_back_the_next_destroy_does_it(folder: Path) -> None:
    def prepare(machine: Machine) -> None:
        occupied(machine)
        apply(NEW, machine.host(), adopt=True)

    for machine, point, _ in each_point(folder, prepare, destroy, kill=True):
        assert_nothing_foreign_is_lost(machine)
        destroy(machine.host())
        assert {path: machine.real(path).read_text() for path in FILES} == FILES, point
        assert not machine.real("/etc/modelgrid").exists(), point


killed_operations = st.tuples(
    st.sampled_from(["apply", "apply", "apply", "rollback", "destroy"]),
    trees,
    st.integers(1, 120),
    st.sampled_from([set[str](), {"--ctx-size 1"}, {"--ctx-size 2"}, {"x/y:2"}]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees, st.lists(killed_operations, min_size=1, max_size=4), trees)
def test_after_any_row_of_killed_changes_the_next_apply_succeeds(
    first: Sequence[Artifact], row: Sequence[tuple[str, Sequence[Artifact], int, set[str]]], last: Sequence[Artifact]
) -> None:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as root:
        machine = Machine(Path(root))
        apply(first, machine.host())
        destroyed = False
        for name, artifacts, point, broken in row:
            machine.systemd.broken = broken
            host = machine.host(Steps(kill_at=point))
            with contextlib.suppress(Killed, HostError):
                if name == "destroy":
                    destroyed = True
                    destroy(host)
                elif name == "rollback":
                    rollback(host)
                else:
                    apply(artifacts, host)
            generations = Generations(machine.files, machine.layout)
            current = generations.current()
            assert destroyed or current is not None
            assert current is None or generations.problems(current) == () or destroyed
        machine.systemd.broken = set()
        apply(last, machine.host())
        assert_runs(machine, last)
        assert machine.pending() is None
        assert plan(last, machine.host()).empty
