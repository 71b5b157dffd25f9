"""Ends what ``up`` has started once ``up`` is gone, however it went: also by ``kill -9``.

Runs as a file, ``python -I -S guard.py FOLDER``, with a pipe as stdin that only ``up`` holds; the end of that pipe
is the end of ``up``. On POSIX this process leads a group that every child joins as it starts, so that there is no
child it does not know of. On Windows, which has no such groups, ``up`` writes their process ids into the pipe.

What ``up`` may write, a word a line: a process id (Windows); ``quick``, all children have ended, so end the rest of
the group at once; ``keep``, leave the folder. Stdout closes when all is done.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

#: Seconds from SIGTERM to SIGKILL.
_GRACE = 1.0


def main() -> None:
    """Wait for the end of stdin, then end the group and remove the folder."""
    folder = sys.argv[1]
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    words = set(sys.stdin.read().split())
    if sys.platform == "win32":
        _end_trees(words)
    else:
        group = os.getpgrp()
        if os.fork():
            # the group must be without this process before it can be seen to be empty
            os._exit(0)
        os.setpgid(0, 0)
        _end_group(group, grace=0.0 if "quick" in words else _GRACE)
    if "keep" not in words:
        shutil.rmtree(folder, ignore_errors=True)


def _end_trees(words: set[str]) -> None:
    if sys.platform == "win32" and "quick" not in words:
        taskkill = Path(os.environ["SYSTEMROOT"], "System32", "taskkill.exe")
        for process_id in words:
            if process_id.isdigit():
                subprocess.run([taskkill, "/T", "/F", "/PID", process_id], capture_output=True, check=False)


def _end_group(group: int, *, grace: float) -> None:
    if sys.platform != "win32":
        deadline = time.monotonic() + grace
        try:
            while time.monotonic() < deadline:
                os.killpg(group, signal.SIGTERM)
                time.sleep(0.05)
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    main()
