"""Power cuts, on a disk that keeps only what was synced, and any part of the rest (see durable_disk.py).

Every call of apply that syncs or renames is taken away in turn, too: there must be a cut that then leaves a disk which
is against the law. By default the next apply is tried on every fourth disk; ``MODELGRID_POWER_CUTS=N`` tries it on all,
and draws N subsets of the unsynced changes at every call, where the default is 4.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelgrid.apply import execute
from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.store.files import FileSystem, write_new
from modelgrid.apply.store.retention import Retention
from modelgrid.errors import HostError
from tests.apply.durability import SYNCS, Call, Left, calls, in_place, power_cuts, without
from tests.apply.durable_disk import DurableDisk, State, Step
from tests.apply.durable_machine import (
    FOREIGN,
    FOREIGN_AMONG_OURS,
    FOREIGN_IN_THE_WAY,
    DurableMachine,
    assert_boots,
    assert_ends,
    assert_nothing_applied,
    assert_recovers,
    assert_whole,
    machine_on,
    new_disk,
)
from tests.apply.trees import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.emit.artifact import Artifact

EVERYTHING = "MODELGRID_POWER_CUTS" in os.environ
DRAWS = int(os.environ.get("MODELGRID_POWER_CUTS", "4"))

OLD = tree({"a": 4096, "gone": 4096}, {"b": 4096}, pulled="example.org/serve:1")
NEW = tree({"a": 8192, "more": 4096}, {"b": 4096, "c": 1}, pulled="example.org/serve:2", key_names=["team"])
OTHER = tree({"a": 512}, {"b": 512})
BROKEN = tree({"a": 666}, {"b": 4096})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a host.

    Attributes:
        before: the trees that were applied one after the other.
        allowed: the trees that may be current after a power cut; none where it may be that no tree is.
        end: the tree that is current when it has ended; none where no tree is.
    """

    before: Sequence[Sequence[Artifact]]
    run: Callable[[Host], object]
    allowed: Sequence[Sequence[Artifact] | None]
    end: Sequence[Artifact] | None
    foreign: Mapping[Path, bytes]
    destroys: bool = False


def failing(host: Host) -> None:
    with pytest.raises(HostError, match="model a:latest failed"):
        apply(BROKEN, host, adopt=True)


CHANGES = {
    "first apply": Change(before=[], run=lambda host: apply(NEW, host), allowed=[None, NEW], end=NEW, foreign=FOREIGN),
    "first apply into a folder that is there": Change(
        before=[], run=lambda host: apply(NEW, host), allowed=[None, NEW], end=NEW, foreign=FOREIGN_AMONG_OURS
    ),
    "first apply that goes back": Change(
        before=[], run=failing, allowed=[None, BROKEN], end=None, foreign=FOREIGN_AMONG_OURS
    ),
    "upgrade": Change(
        before=[OLD], run=lambda host: apply(NEW, host), allowed=[OLD, NEW], end=NEW, foreign=FOREIGN_AMONG_OURS
    ),
    "upgrade that goes back": Change(before=[OLD], run=failing, allowed=[OLD, BROKEN], end=OLD, foreign=FOREIGN),
    "upgrade that prunes": Change(
        before=[OLD, OTHER, NEW],
        run=lambda host: apply(OLD, host, retention=Retention(keep=1)),
        allowed=[NEW, OLD],
        end=OLD,
        foreign=FOREIGN,
    ),
    "rollback": Change(before=[OLD, NEW], run=rollback, allowed=[OLD, NEW], end=OLD, foreign=FOREIGN),
    "first apply that takes over": Change(
        before=[],
        run=lambda host: apply(NEW, host, adopt=True),
        allowed=[None, NEW],
        end=NEW,
        foreign=FOREIGN_IN_THE_WAY,
    ),
    "first apply that takes over and goes back": Change(
        before=[], run=failing, allowed=[None, BROKEN], end=None, foreign=FOREIGN_IN_THE_WAY
    ),
    "destroy that puts back": Change(
        before=[NEW], run=destroy, allowed=[NEW, None], end=None, foreign=FOREIGN_IN_THE_WAY, destroys=True
    ),
    "destroy": Change(before=[OLD, NEW], run=destroy, allowed=[NEW, None], end=None, foreign=FOREIGN, destroys=True),
    "destroy beside a foreign file": Change(
        before=[OLD, NEW],
        run=destroy,
        allowed=[NEW, None],
        end=None,
        foreign=FOREIGN_AMONG_OURS,
        destroys=True,
    ),
}


@pytest.fixture(autouse=True)
def _no_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage is no part of the live tree."""
    monkeypatch.setattr(execute, "check_stage", lambda host, artifacts: None)


@cache
def recorded(name: str) -> tuple[State, Sequence[Step]]:
    """Return the disk before a change, and what the change did to it."""
    change = CHANGES[name]
    disk = new_disk(change.foreign)
    machine = DurableMachine(disk, change.foreign)
    for artifacts in change.before:
        apply(artifacts, machine.process(), adopt=True)
    base = disk.now.copy()
    disk.steps.clear()
    machine.systemd.broken = {"--ctx-size 666"}
    change.run(machine.process())
    assert_end(machine, change, cut=False)
    base.inodes = disk.inodes
    return base, tuple(disk.steps)


def assert_end(machine: DurableMachine, change: Change, *, cut: bool) -> None:
    if change.end is None:
        assert_nothing_applied(machine, destroyed=change.destroys, cut=cut)
    else:
        assert_ends(machine, change.end, cut=cut)


#: Disks that were found to be lawful after a change: the name of the change, what is on the disk, and if it had ended.
_LAWFUL: set[tuple[str, object, bool]] = set()


def first_fault(name: str, base: State, steps: Sequence[Step], *, draws: int) -> tuple[int, str]:
    """Return how many cuts there are up to the first that leaves an unlawful disk, and what is wrong; "" if nothing."""
    number = checked = 0
    for number, left in enumerate(power_cuts(base, steps, draws=draws), 1):
        disk = (name, left.state.tree(), left.done)
        if disk in _LAWFUL:
            continue
        checked += 1
        try:
            assert_lawful(CHANGES[name], left, recover=EVERYTHING or left.common or checked % 4 == 0)
        except (AssertionError, HostError, OSError) as error:
            after = steps[left.step].text if left.step >= 0 else "nothing"
            return number, f"cut after {after}, kept: {left.how}: {error}"
        _LAWFUL.add(disk)
    return number, ""


def assert_lawful(change: Change, left: Left, *, recover: bool) -> None:
    """The disk after a power cut in *change* is one that a host may be switched on with; *recover* applies, too."""
    machine = machine_on(left.state, change.foreign)
    assert_whole(machine, change.allowed)
    machine.boot()
    assert_boots(machine)
    if left.done:
        assert_end(machine, change, cut=True)
    if recover:
        assert_recovers(machine, (NEW, OLD, OTHER)[left.step % 3])


@pytest.mark.parametrize("name", CHANGES)
def test_no_power_cut_leaves_a_host_that_does_not_boot_or_takes_no_next_apply(name: str) -> None:
    base, steps = recorded(name)
    cuts, fault = first_fault(name, base, steps, draws=DRAWS)
    assert fault == "", f"cut {cuts}"
    assert cuts > 5 * len([step for step in steps if step.effects])
    print(
        f"{name}: {len(steps)} calls, {cuts} power cuts, {len([1 for known, _, _ in _LAWFUL if known == name])} disks"
    )


MUTANTS = [
    (kind, call)
    for call in calls()
    for kind in (("taken away",) if call.name in SYNCS else ("taken away", "done in place"))
]


@pytest.mark.parametrize(("kind", "call"), MUTANTS, ids=[f"{call}, {kind}" for kind, call in MUTANTS])
def test_every_sync_and_rename_is_needed(kind: str, call: Call) -> None:
    used = False
    for name in CHANGES:
        base, steps = recorded(name)
        mutated = without(steps, call) if kind == "taken away" else in_place(base, steps, call)
        if list(mutated) == list(steps):
            continue
        used = True
        _, fault = first_fault(name, base, mutated, draws=0)
        if fault:
            print(f"{call}, {kind}: {name}: {fault}")
            return
    pytest.fail("no power cut finds out" if used else "no change comes there")


files_and_folders = st.sampled_from(["/a", "/b", "/a/c", "/a/d", "/b/c", "/link", "/a/link", "/link/c"])
system_calls = st.one_of(
    st.tuples(
        st.sampled_from(["mkdir", "new", "unlink", "rmdir", "kind", "read", "readlink", "listdir", "permissions"]),
        files_and_folders,
    ),
    st.tuples(st.just("symlink"), files_and_folders, st.sampled_from(["/a", "b", "c", "nowhere", "/link"])),
    st.tuples(st.just("rename"), st.sampled_from(["a", "b", "c"]), st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just("rename below"), st.sampled_from(["c", "d", "link"]), st.sampled_from(["c", "d", "link"])),
)


def answer(files: FileSystem, root: str, call: tuple[str, ...]) -> object:
    """What *files* answer to *call*: a value, or the number of an error."""
    name, first, *rest = call
    path = Path(first)
    # an absolute link on a host that is a folder leads out of it, but for this
    targets = [f"{root}{text}" if text.startswith("/") else text for text in rest]
    calls: dict[str, Callable[[], object]] = {
        "new": lambda: write_new(files, path, first.encode(), 0o640),
        "symlink": lambda: files.symlink(targets[0], path),
        "rename": lambda: files.rename(Path("/", first), Path("/", rest[0])),
        "rename below": lambda: files.rename(Path("/a", first), Path("/a", rest[0])),
        "readlink": lambda: (files.readlink(path) or "").removeprefix(root),
    }
    asked: Callable[[Path], object] = getattr(files, name, lambda path: None)
    try:
        return calls.get(name, lambda: asked(path))()
    except OSError as error:
        return error.errno


@settings(max_examples=150, deadline=None)
@given(st.lists(system_calls, max_size=25))
def test_the_disk_in_memory_answers_as_a_real_one(row: Sequence[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        real, model = FileSystem(Path(root)), DurableDisk()
        for call in row:
            assert answer(model, "", call) == answer(real, root, call), call
