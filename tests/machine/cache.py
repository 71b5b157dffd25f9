"""A folder of things that are slow to make, each named after a hash of what it is made from.

A test run holds a shared lock on every entry that it uses, so that another run, which wants a newer one, does not
remove it meanwhile. Entries are built beside their place and renamed into it: what is there is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.requirements import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

REPOSITORY = Path(__file__).resolve().parents[2]

#: Locks of the entries in use; the kernel lets go of them when this process ends, however it ends.
_held: dict[Path, IO[str]] = {}

#: Why entries could not be built: the next test that wants one is told at once.
_failed: dict[Path, BaseException] = {}


def cache_folder() -> Path:
    """The cache's folder: ``$MODELGRID_TEST_CACHE``, else ``.cache/machines`` in the repository. Made if missing."""
    folder = Path(os.environ.get("MODELGRID_TEST_CACHE") or REPOSITORY / ".cache" / "machines").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(inputs: Iterable[str]) -> str:
    """A short hash over *inputs*, in order."""
    sha = hashlib.sha256()
    for text in inputs:
        sha.update(text.encode() + b"\0")
    return sha.hexdigest()[:12]


def cached(kind: str, inputs: Iterable[str], build: Callable[[Path], None]) -> Path:
    """The entry of *kind* made from *inputs*, a file or a folder that stays until this process ends.

    *build* makes it at the path that it is given when it is not there yet. Older entries of the same kind that no
    test run uses are removed then. Nobody may write to an entry: other runs read it at the same time.
    """
    folder = cache_folder()
    name = f"{kind}-{digest(inputs)}"
    entry = folder / name
    if entry in _held:
        return entry
    if entry in _failed:
        raise _failed[entry]
    lock = (folder / f"{name}.lock").open("a", encoding="utf-8")
    try:
        while True:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if entry.exists():
                _held[entry] = lock
                return entry
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not entry.exists():  # another run may have built it while this one waited
                partial = folder / f"{name}.partial"
                remove(partial)
                build(partial)
                partial.rename(entry)
                _prune(folder, kind, keep=name)
    except BaseException as error:
        lock.close()
        _failed[entry] = error
        raise


def fetch(argv: Sequence[str], *, what: str) -> None:
    """Run *argv*, which gets *what* over the network; skip the test, with its last line, where it ends in failure."""
    process = subprocess.run(argv, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if process.returncode != 0:
        sys.stderr.write(process.stderr)
        last = (process.stderr.strip().splitlines() or ["nothing"])[-1]
        need(what, way=f"check the network; {argv[0]} says: {last}")


def remove(path: Path) -> None:
    """Remove the file or folder *path*, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _prune(folder: Path, kind: str, *, keep: str) -> None:
    """Remove the entries of *kind* in *folder* that no test run holds, but not *keep*."""
    pattern = re.compile(re.escape(kind) + "-[0-9a-f]{12}")
    for entry in folder.iterdir():
        if entry.name == keep or not pattern.fullmatch(entry.name):
            continue
        with (folder / f"{entry.name}.lock").open("a", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            remove(entry)
