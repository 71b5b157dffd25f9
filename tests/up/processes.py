"""Who runs: the processes that were started, by whomever, from one that had a mark in its environment."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.requirements import need

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "MODELGRID_TEST_MARK"


def marked(mark: str) -> dict[int, str]:
    """Return the command lines of all living processes but this one whose environment has *mark*, by process id."""
    if sys.platform != "linux":
        need("Linux", way="run it there: only its /proc shows the environment of all processes")
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is not ours
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    found.pop(os.getpid(), None)
    return found


def until(condition: Callable[[], bool], *, seconds: float = 10.0) -> float:
    """Wait until *condition* holds and return how long that took; fail after *seconds*."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - begin


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
