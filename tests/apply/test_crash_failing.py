"""Every call that changes a file or asks something of systemd fails: once, and from then on.

By default some of the calls fail, each with one of the reasons; ``MODELGRID_FAIL_EVERYWHERE=1`` has all fail for all.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply import execute
from modelgrid.apply.execute import apply, destroy
from modelgrid.apply.store.generations import Generations
from modelgrid.errors import HostError
from tests.apply.checks import assert_current_is_whole, assert_nothing_left, assert_runs
from tests.apply.fakes import Machine, Steps
from tests.apply.test_crash import CHANGES as KILLED
from tests.apply.test_crash import ENDS, NEW, old_then_new

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelgrid.emit.artifact import Artifact
    from tests.apply.test_crash import Operation, Prepare

EVERYTHING = os.environ.get("MODELGRID_FAIL_EVERYWHERE") == "1"
CODES = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EINTR)
#: Calls that a full disk refuses; what only takes names away goes on.
NEED_ROOM = {"mkdir", "open_new", "write", "symlink", "lock", "fsync"}


class Faults(Steps):
    """Fails call *at* with *code*; with *lasting*, every later one, too: of files, or of systemd, whatever it was."""

    def __init__(self, *, at: int, code: int, lasting: bool) -> None:
        super().__init__()
        self._at = at
        self._fault = code
        self._lasting = lasting
        self._of_systemd: bool | None = None

    def take(self, name: str, *, changes: bool = True) -> None:
        self.taken.append(name)
        systemd = name.startswith("systemd")
        here = len(self.taken) == self._at
        if here:
            self._of_systemd = systemd
        elif not self._lasting or self._of_systemd is not systemd or self._fits(name):
            return
        if systemd:
            raise HostError("systemd: Connection timed out")
        raise OSError(self._fault, os.strerror(self._fault), name)

    def _fits(self, name: str) -> bool:
        """Say whether there is room for the call though the disk is full."""
        full = self._fault in {errno.ENOSPC, errno.EDQUOT}
        return full and not name.startswith("systemd") and name.split(maxsplit=1)[0] not in NEED_ROOM

    @property
    def reached(self) -> bool:
        return self._of_systemd is not None

    @property
    def of_files(self) -> bool:
        return self._of_systemd is False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change, and the trees that are current before and after it."""

    prepare: Prepare
    run: Operation
    before: Sequence[Artifact] | None
    after: Sequence[Artifact] | None


CHANGES = {
    name: Change(prepare=prepare, run=run, before=ENDS[name][0], after=ENDS[name][1])
    for name, (prepare, run, _) in KILLED.items()
}
DESTROY = Change(prepare=old_then_new, run=destroy, before=NEW, after=None)


@pytest.fixture(autouse=True)
def _no_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage is no part of the live tree."""
    monkeypatch.setattr(execute, "check_stage", lambda host, artifacts: None)


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def each_fault(folder: Path, change: Change, *, lasting: bool) -> Iterator[tuple[Machine, Faults, str, bool]]:
    """Yield the host after *change* with one more call before the fault each time, and whether the change failed."""
    stride = 1 if EVERYTHING else 4
    for number in range(1, 1000, stride):
        for code in CODES if EVERYTHING else (CODES[number // stride % len(CODES)],):
            shutil.rmtree(folder / "host", ignore_errors=True)
            (folder / "host").mkdir()
            machine = Machine(folder / "host")
            change.prepare(machine)
            faults = Faults(at=number, code=code, lasting=lasting)
            failed = False
            try:
                change.run(machine.host(faults))
            except HostError:
                failed = True
            point = faults.taken[number - 1] if faults.reached else "no call"
            where = f"call {number}, {point}, {errno.errorcode[code]}"
            yield machine, faults, where, failed
            if not faults.reached:
                assert number > 20
                print(f"{number - 1} calls")
                return
    raise AssertionError("no end")


def assert_heals(machine: Machine, where: str) -> None:
    """The next apply, with nothing failing, is as if nothing had happened."""
    apply(NEW, machine.host())
    assert_runs(machine, NEW)
    assert machine.pending() is None, where
    hidden = [path for path in machine.root.rglob(".*") if "modelgrid" in str(path)]
    assert hidden == [], where


@pytest.mark.parametrize("name", CHANGES)
def test_where_a_call_fails_once_the_old_generation_runs_on(folder: Path, name: str) -> None:
    change = CHANGES[name]
    assert change.after is not None
    for machine, _, where, failed in each_fault(folder, change, lasting=False):
        assert machine.pending() is None, where
        if not failed:
            assert_runs(machine, change.after)
        elif change.before is None:
            assert machine.current() is None, where
            assert machine.systemd.running == {}, where
        else:
            assert_runs(machine, change.before)
        assert_heals(machine, where)


@pytest.mark.parametrize("name", CHANGES)
def test_where_calls_fail_from_then_on_no_generation_is_lost(folder: Path, name: str) -> None:
    """What runs by the old generation does so as long as the disk says that it is current."""
    change = CHANGES[name]
    allowed = [tree for tree in (change.before, change.after) if tree is not None]
    for machine, faults, where, failed in each_fault(folder, change, lasting=True):
        generations = Generations(machine.files, machine.layout)
        number = generations.current()
        if change.before is not None or number is not None:
            assert_current_is_whole(machine, allowed)
        current = None if number is None else generations.read(number)
        if not failed and change.after is not None:
            assert_runs(machine, change.after)
        elif faults.of_files and change.before is not None and current == tuple(sorted(change.before)):
            assert_runs(machine, change.before)
        elif faults.of_files and change.before is None and current is None:
            assert machine.systemd.running == {}, where
        assert_heals(machine, where)


@pytest.mark.parametrize("how", ["once", "from then on"])
def test_where_a_call_of_destroy_fails_the_next_destroy_removes_all(folder: Path, how: str) -> None:
    faults = each_fault(folder, DESTROY, lasting=how != "once")
    for number, (machine, _, where, failed) in enumerate(faults):
        if not failed:
            assert_nothing_left(machine)
        if number % 2:
            destroy(machine.host())
            assert_nothing_left(machine)
        assert_heals(machine, where)
