"""What a worker tells of itself to whoever changes the host: a small file in the runtime folder of its unit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.live import WORKER_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.live import WorkerStatus

#: Seconds in which changes of a load are gathered before they are written.
_INTERVAL = 0.05
_SUFFIX = ".json"


def runtime_folder() -> Path | None:
    """The folder that systemd made for this service (systemd.exec(5), RuntimeDirectory=), none where there is none."""
    folders = os.environ.get("RUNTIME_DIRECTORY", "").split(":")
    return Path(folders[0]) if folders[0] else None


class StatusFile:
    """``worker-<pid>.json``: there from :meth:`begin` to :meth:`end`, and never half written.

    It lies in memory (tmpfs), so that writing it in the event loop costs microseconds and waits for nothing.
    """

    def __init__(
        self, folder: Path | None, status: Callable[[], WorkerStatus], *, failed: Callable[[str], None]
    ) -> None:
        """Without a *folder* nothing is written. *failed* hears once why writing failed, until it succeeds again."""
        self._path = folder / f"{WORKER_PREFIX}{os.getpid()}{_SUFFIX}" if folder else None
        self._status = status
        self._failed = failed
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        self._written = ""
        self._broken = False

    def begin(self) -> None:
        """Write the file from now on. What workers left behind that were killed is removed."""
        self._begun = self._path is not None
        if self._path is not None:
            _remove_dead(self._path.parent)
        self.write()

    def touch(self) -> None:
        """Write soon, for a load is another. Cheap, for it is called for each request."""
        if self._timer is None and self._begun:
            self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self.write)

    def write(self) -> None:
        """Write now, if there is anything new."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._path is None or not self._begun:
            return
        text = self._status().dump()
        if text == self._written:
            return
        try:
            _replace(self._path, text)
        except OSError as error:
            if not self._broken:
                self._failed(error.strerror or str(error))
            self._broken = True
        else:
            self._written, self._broken = text, False

    def end(self) -> None:
        """Remove the file: this worker serves no longer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._path is not None and self._begun:
            self._begun = False
            with contextlib.suppress(OSError):
                self._path.unlink()


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8", newline="\n")
    new.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
    new.replace(path)


def _remove_dead(folder: Path) -> None:
    for path in folder.glob(f"{WORKER_PREFIX}*{_SUFFIX}"):
        try:
            os.kill(int(path.stem.removeprefix(WORKER_PREFIX)), 0)
        except ProcessLookupError:
            with contextlib.suppress(OSError):
                path.unlink()
        except (OSError, ValueError):
            continue  # another's process, or another's file
