"""Gives the gateway its keys: ``python -m modelgrid.gateway.keycopy SOURCE TARGET``.

Only root reads the file of the generation; the gateway's unit runs this as root, when the gateway starts and when it
reloads, to put a copy into the unit's runtime folder, which only the gateway's user and root can enter. The gateway
sees by itself that the copy is another; this waits until its workers have said so, and then the reload is done.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.live import WORKER_PREFIX, load_worker_status

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The gateway reads what is root's: its folder keeps others out.
_READABLE = 0o444
_ARGUMENTS = 2
#: Seconds that the workers may take to see the copy, and between two looks at what they say.
_PATIENCE = 5.0
_LOOK = 0.02


def copy(source: Path, target: Path) -> str:
    """Put the content of *source* under *target*, whole, by a rename, and return its SHA-256 in hex.

    The folder belongs to a user that is not trusted, so no link in it is followed.

    Raises:
        OSError: one of them cannot be read or written.
    """
    data = source.read_bytes()
    new = target.with_name(f".{target.name}.new")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(file, "wb") as stream:  # noqa: PTH123  an open descriptor
        stream.write(data)
        stream.flush()
        os.fchmod(file, _READABLE)
    new.replace(target)
    return hashlib.sha256(data).hexdigest()


def wait_until_known(folder: Path, sha256: str, *, seconds: float = _PATIENCE) -> bool:
    """Return whether every worker whose file is in *folder* knows the keys with *sha256*, in so many *seconds*."""
    deadline = time.monotonic() + seconds
    while not all(_keys_of(file) == sha256 for file in folder.glob(f"{WORKER_PREFIX}*.json")):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK)
    return True


def _keys_of(file: Path) -> str | None:
    try:
        return load_worker_status(file.read_bytes()).keys
    except (OSError, ValueError):
        return None  # it goes, or comes, this moment


def main(arguments: Sequence[str] | None = None) -> int:
    """Copy the file that is named first to the path that is named second; exit 0 once it is known, or 1."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if len(words) != _ARGUMENTS:
        sys.stderr.write("usage: python -m modelgrid.gateway.keycopy SOURCE TARGET\n")
        return 2
    source, target = map(Path, words)
    try:
        sha256 = copy(source, target)
    except OSError as error:
        sys.stderr.write(f"cannot copy {source} to {target}: {error.strerror}\n")
        return 1
    if not wait_until_known(target.parent, sha256):
        sys.stderr.write(f"the gateway does not take the keys of {source}; its log says why\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
