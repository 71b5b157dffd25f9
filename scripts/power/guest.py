"""What runs in the virtual machine: changes of a host whose files are on the disk that is about to lose its power.

The files, and every call on them, are apply's own, on a real file system; systemd, podman and the gateway are the fakes
of the unit tests. It talks with scripts/powercut in lines of JSON, over a serial line.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import IO, Any

from modelgrid.apply import execute
from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.store.files import FileSystem
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.retention import Retention
from tests.apply.durable_machine import (
    FOREIGN_AMONG_OURS,
    DurableMachine,
    assert_boots,
    assert_ends,
    assert_nothing_applied,
    assert_recovers,
    assert_whole,
)
from tests.apply.trees import tree

TREES = {
    "old": tree({"a": 4096, "gone": 4096}, {"b": 4096}, pulled="example.org/serve:1"),
    "new": tree({"a": 8192, "more": 4096}, {"b": 4096, "c": 1}, pulled="example.org/serve:2", key_names=["team"]),
    "other": tree({"a": 512}, {"b": 512}),
}


class Files(FileSystem):
    """The file system of a host whose root folder is on the disk."""

    file_system = "unknown"

    def read(self, path: Path) -> bytes:
        """See FileSystem. Mounts are told as the host would see them."""
        if path == Path("/proc/self/mountinfo"):
            return f"1 0 254:0 / / rw - {self.file_system} /dev/vda rw\n".encode()
        return super().read(path)


class Guest:
    """A host on the file system at *root*."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._machine = DurableMachine(Files(root), FOREIGN_AMONG_OURS)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what *request* asks for; AssertionError and the like are for the caller to tell."""
        match request["do"]:
            case "mount":
                return self._mount(request["file_system"], request["dirty"])
            case "begin":
                return self._begin()
            case "check":
                return self._check(request)
            case "prepare":
                return self._prepare(request["change"], request["tree"])
        raise ValueError(request)

    def _mount(self, file_system: str, dirty: int) -> dict[str, Any]:
        # how soon the kernel writes what is not synced by itself, in another order: hundredths of a second
        for name in ("dirty_writeback_centisecs", "dirty_expire_centisecs"):
            Path("/proc/sys/vm", name).write_text(str(dirty))
        for argv in (["insmod", "/modules/virtio_blk.ko"], ["mount", "-t", file_system, "/dev/vda", str(self._root)]):
            subprocess.run(["/bin/busybox", *argv], check=True)
        Files.file_system = file_system
        return {"mounted": True}

    def _begin(self) -> dict[str, Any]:
        for folder in ("run/systemd/system", "etc/systemd/system/multi-user.target.wants", "etc/containers"):
            (self._root / folder).mkdir(parents=True)
        for path, content in FOREIGN_AMONG_OURS.items():
            real = self._root / str(path).lstrip("/")
            real.parent.mkdir(parents=True, exist_ok=True)
            real.write_bytes(content)
        os.sync()
        apply(TREES["old"], self._machine.process())
        return {"current": self._current()}

    def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        """The laws of the disk after a power cut, as in tests/apply/test_durability.py."""
        machine = self._machine
        found = {"found": self._current(), "pending": machine.pending() is not None}
        assert_whole(machine, [None if name is None else TREES[name] for name in request["allowed"]])
        machine.boot()
        assert_boots(machine)
        if request["done"]:
            if request["end"] is None:
                assert_nothing_applied(machine, destroyed=True, cut=True)
            else:
                assert_ends(machine, TREES[request["end"]], cut=True)
        before = time.monotonic()
        assert_recovers(machine, TREES[request["following"]])
        return {**found, "current": self._current(), "recovery": time.monotonic() - before}

    def _prepare(self, change: str, name: str) -> dict[str, Any]:
        """Return what may be current in *change*, and what is after it."""
        now = self._current()
        if change == "destroy":
            self._run = lambda: destroy(self._machine.process())
            return {"allowed": [now, None], "end": None}
        if change == "first apply":
            destroy(self._machine.process())
            self._run = lambda: apply(TREES[name], self._machine.process())
            return {"allowed": [None, name], "end": name}
        if change == "rollback":
            generations = Generations(self._machine.files, self._machine.layout)
            current = generations.current()
            target = generations.parent(current or 0)
            if target in generations.numbers() and not generations.problems(target or 0):
                self._run = lambda: rollback(self._machine.process())
                end = _name_of(generations.read(target or 0))
                return {"allowed": [now, end], "end": end}
        retention = Retention(keep=1 if change == "apply that prunes" else 10)
        self._run = lambda: apply(TREES[name], self._machine.process(), retention=retention)
        return {"allowed": [now, name], "end": name}

    def change(self) -> None:
        """Do what was prepared."""
        self._run()

    def listing(self) -> list[str]:
        """Return every file and link, for who looks at a fault."""
        return sorted(
            f"{path.relative_to(self._root)}" + (f" -> {path.readlink()}" if path.is_symlink() else "")
            for path in self._root.rglob("*")
            if not path.is_dir() or path.is_symlink()
        )

    def _current(self) -> str | None:
        generations = Generations(self._machine.files, self._machine.layout)
        number = generations.current()
        if number not in generations.numbers() or number is None:
            return None
        return _name_of(generations.read(number))


def _name_of(found: object) -> str:
    return next((name for name, known in TREES.items() if found == known), "unknown")


def _tell(line: IO[bytes], value: dict[str, Any]) -> None:
    line.write(json.dumps(value).encode() + b"\n")
    line.flush()


def main() -> None:
    """Answer requests on the serial line for ever; with ``--try``, only do once all that there is to do."""
    # the stage is not on this disk
    execute.check_stage = lambda *_: None
    if sys.argv[1] == "--try":
        with tempfile.TemporaryDirectory() as root:
            guest = Guest(Path(root))
            Files.file_system = "btrfs"
            guest.answer({"do": "begin"})
            for change in ("apply", "apply that prunes", "rollback", "first apply", "destroy"):
                guest.answer({"do": "prepare", "change": change, "tree": "new"})
                guest.change()
        return
    guest = Guest(Path(sys.argv[1]))
    # lines come and go byte by byte: the line is no file, and knows no end
    with Path(sys.argv[2]).open("r+b", buffering=0) as raw:
        pending = b""
        _tell(raw, {"up": True})
        while True:
            pending += raw.read(1024) or b""
            while b"\n" in pending:
                text, _, pending = pending.partition(b"\n")
                _react(guest, json.loads(text), raw)


def _react(guest: Guest, request: dict[str, Any], raw: IO[bytes]) -> None:
    try:
        if request["do"] == "change":
            _tell(raw, {"begun": True})
            guest.change()
            _tell(raw, {"ended": True})
        else:
            _tell(raw, guest.answer(request))
    except BaseException as error:  # noqa: BLE001  whatever it is, it is what this is looking for
        with contextlib.suppress(OSError):
            _tell(raw, {"fault": "".join(traceback.format_exception(error)), "files": guest.listing()})


if __name__ == "__main__":
    main()
