"""Runs on a machine: kills apply, rollback and destroy before their calls, one after the other, and looks what is left.

    killed_program.py old.tree new.tree STRIDE OFFSET

Each change is a process of its own that counts its calls and sends itself SIGKILL at one of them. Files, systemd,
programs and the gateway are real; only the check of the stage is left out, which is before all changes and takes most
of the time. It prints a line of JSON for each kill, and one at the end.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelgrid.apply import execute
from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.host import this_host
from modelgrid.apply.planning.units import Role, units_of
from modelgrid.apply.process import HostProcesses
from modelgrid.apply.store.files import FileSystem
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.layout import Layout
from modelgrid.apply.store.records import Records
from modelgrid.apply.systemd import PystemdManager
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelgrid.emit.artifact import Artifact

    Tree = Sequence[Artifact]

READS = {
    "close",
    "identity",
    "kind",
    "listdir",
    "open_folder",
    "permissions",
    "read",
    "readable",
    "readlink",
    "real",
    "resolve",
    "writable",
}
#: Where others have files that must not change.
PLACES = ("/etc", "/run/systemd/system", "/run/systemd/transient", "/run/containers", "/usr/local/lib/systemd")


class Fault(Exception):  # noqa: N818  it is no error of this program
    """Something is not as it must be after a kill."""


def count_calls(at: int) -> None:
    """Make this process kill itself before its call number *at* of those that change a file or ask something."""
    taken = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == at:
                if function.__name__ == "write":
                    # half a file is the worst that can be left of one
                    os.write(arguments[1], arguments[2][: len(arguments[2]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for kind, reads in ((FileSystem, READS), (PystemdManager, set()), (HostProcesses, set())):
        for name, function in vars(kind).items():
            if callable(function) and not name.startswith("_") and name not in reads:
                setattr(kind, name, counted(function))


def run(change: Callable[[], object], *, kill_at: int = 0) -> bool:
    """Do *change* in a process of its own; return whether it was killed.

    Raises:
        Fault: it failed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            if kill_at:
                count_calls(kill_at)
            change()
            code = 0
        except BaseException:  # noqa: BLE001  it is told to the parent
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if status != 0:
        raise Fault(said)
    return False


def foreign() -> str:
    """Return what tells everything apart that is not ours, below `PLACES`."""
    layout = Layout.system()
    found = hashlib.sha256()
    for place in PLACES:
        for folder, folders, files in os.walk(place):
            if Path(folder) == layout.base:
                folders.clear()
                continue
            folders.sort()
            for name in sorted((*files, *folders)):
                path = Path(folder, name)
                ours = "modelgrid" in name
                if path.is_symlink():
                    content = str(path.readlink()).encode()
                elif path.is_dir():
                    # one that is empty, or has only what is ours, may come and go
                    continue
                else:
                    content = path.read_bytes() if path.is_file() else b""
                if not ours and f"/{layout.base.name}" not in folder:
                    found.update(f"{path} {path.lstat().st_mode:o} ".encode() + content)
    return found.hexdigest()


def check_whole(allowed: Sequence[Tree | None], *, destroying: bool) -> None:
    """The current generation is one of *allowed*, and whole, as is every other one."""
    generations = Generations(FileSystem(), Layout.system())
    number = generations.current()
    if not destroying or number is not None:
        bad = {known: generations.problems(known) for known in generations.numbers() if generations.problems(known)}
        if bad:
            raise Fault(f"not whole: {bad}")
    if number is not None and number not in generations.numbers():
        raise Fault(f"generation {number} is current and is not there")
    if (None if number is None else generations.read(number)) not in allowed:
        raise Fault(f"generation {number} is current, and is neither the old nor the new one")


def check_runs(tree: Tree) -> None:
    """The host runs *tree*: its units are up, by their own definition, and no other unit of ours is there."""
    check_whole([tree], destroying=False)
    units = units_of(tree)
    wanted = {name for name, unit in units.items() if unit.wanted}
    shown = subprocess.run(
        ["systemctl", "show", "modelgrid*", "--property=Id,LoadState,ActiveState,MainPID,NeedDaemonReload"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    states = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n") if block.strip()]
    up = {state["Id"] for state in states if state["ActiveState"] == "active"}
    if not wanted <= up <= units.keys():
        raise Fault(f"up: {sorted(up)}, wanted: {sorted(wanted)}")
    for state in states:
        if state["ActiveState"] not in {"active", "inactive"} or state["NeedDaemonReload"] == "yes":
            raise Fault(f"{state}")
        if state["Id"] in up and units[state["Id"]].role is Role.SERVICE:
            words = Path("/proc", state["MainPID"], "cmdline").read_bytes().decode().split("\0")[1:-1]
            line = units[state["Id"]].value("Service", "ExecStart") or ""
            if not all(word in line for word in words):
                raise Fault(f"{state['Id']} runs {words}, and its unit has {line}")
    layout = Layout.system()
    spare = [
        str(path)
        for place in (layout.base, layout.unit_folder, layout.live)
        for path in place.rglob("*")
        if path.name.startswith((".tmp-", ".old-")) or path.name.endswith(".new")
    ]
    if spare or Records(FileSystem(), layout).pending() is not None:
        raise Fault(f"left over: {spare}, {Records(FileSystem(), layout).pending()}")


def host() -> Any:
    return this_host(Scope.SYSTEM)


class Sweep:
    """Kills at every *stride*-th call from *offset* on, each change in turn."""

    def __init__(self, old: Tree, new: Tree, *, stride: int, offset: int) -> None:
        self._old, self._new = old, new
        self._stride, self._offset = stride, offset
        self._foreign = foreign()
        self._plain: dict[str, float] = {}
        self.kills: Counter[str] = Counter()

    def kill(
        self, name: str, number: int, change: Callable[[], object], allowed: Sequence[Tree | None], after: Tree
    ) -> bool:
        """Kill *change* at its call *number*, apply *after*, and look; return whether there was such a call."""
        begun = time.monotonic()
        killed = run(change, kill_at=number)
        whole = time.monotonic() - begun
        try:
            check_whole(allowed, destroying=name == "destroy")
            recovery = 0.0
            if killed:
                begun = time.monotonic()
                run(lambda: apply(after, host()))
                recovery = time.monotonic() - begun
                check_runs(after)
            self._check_foreign()
        except Fault as fault:
            print(json.dumps({"change": name, "call": number, "fault": str(fault)}), flush=True)
            raise
        if killed:
            self.kills[name] += 1
            print(json.dumps({"change": name, "call": number, "recovery": round(recovery, 3)}), flush=True)
        else:
            print(json.dumps({"change": name, "calls": number - 1, "seconds": round(whole, 3)}), flush=True)
        return killed

    def _check_foreign(self) -> None:
        if foreign() != self._foreign:
            raise Fault("something that is not ours changed")

    def upgrade_and_rollback(self) -> None:
        """From the old tree to the new one and back, killed on both ways."""
        run(lambda: apply(self._old, host()))
        trees, number = [self._old, self._new], self._offset
        going = {"upgrade": True, "rollback": True}
        while any(going.values()):
            if going["upgrade"]:
                going["upgrade"] = self.kill("upgrade", number, lambda: apply(self._new, host()), trees, self._new)
            else:
                run(lambda: apply(self._new, host()))
            if going["rollback"]:
                going["rollback"] = self.kill("rollback", number, lambda: rollback(host()), trees, self._old)
            # a generation before it, to go back to, must be the old tree
            run(lambda: apply(self._old, host()))
            number += self._stride

    def first_and_destroy(self) -> None:
        """From nothing to the new tree and back to nothing, killed on both ways."""
        run(lambda: destroy(host()))
        trees, number = [None, self._new], self._offset
        going = {"first apply": True, "destroy": True}
        while any(going.values()):
            if going["first apply"]:
                going["first apply"] = self.kill(
                    "first apply", number, lambda: apply(self._new, host()), trees, self._new
                )
            else:
                run(lambda: apply(self._new, host()))
            if going["destroy"]:
                going["destroy"] = self.kill("destroy", number, lambda: destroy(host()), trees, self._new)
            run(lambda: destroy(host()))
            number += self._stride


def main() -> int:
    vars(execute)["check_stage"] = lambda *_: None
    old, new = (pickle.loads(Path(name).read_bytes()) for name in sys.argv[1:3])
    stride, offset = int(sys.argv[3]), int(sys.argv[4])
    sweep = Sweep(old, new, stride=stride, offset=offset)
    try:
        sweep.upgrade_and_rollback()
        sweep.first_and_destroy()
    except Fault:
        return 1
    print(json.dumps({"kills": sweep.kills}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
