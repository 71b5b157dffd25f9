"""The only subprocesses of apply: podman, its generator, systemd-analyze and journalctl."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What shells answer for a program that is not there.
NOT_FOUND = 127
#: What timeout(1) answers for a program that took too long.
TIMED_OUT = 124


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended."""

    returncode: int
    stdout: str
    stderr: str


class Processes(Protocol):
    """Runs programs."""

    def run(self, *argv: str, environment: Mapping[str, str] | None = None, timeout: float = 60.0) -> Completed:
        """Run *argv* to its end, without a shell, *environment* added to ours. *timeout* is in seconds.

        Never raises for what the program does: one that is missing ends with 127, one that takes too long with 124.
        """


class HostProcesses:
    """Runs programs of this host. What a program says to ``--version`` is asked once: it takes podman 50 ms."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, ...], Completed] = {}

    def run(self, *argv: str, environment: Mapping[str, str] | None = None, timeout: float = 60.0) -> Completed:
        """See :meth:`Processes.run`. Messages are asked for in English, to be read and quoted."""
        if argv in self._versions:
            return self._versions[argv]
        done = self._run(argv, environment or {}, timeout)
        if argv[1:] == ("--version",) and done.returncode == 0:
            self._versions[argv] = done
        return done

    def _run(self, argv: tuple[str, ...], environment: Mapping[str, str], timeout: float) -> Completed:
        full = {**os.environ, "LC_ALL": "C.UTF-8", **environment}
        try:
            done = subprocess.run(
                argv,
                env=full,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Completed(returncode=TIMED_OUT, stdout="", stderr=f"{argv[0]} took longer than {timeout:g} s")
        except OSError as error:
            return Completed(returncode=NOT_FOUND, stdout="", stderr=f"{argv[0]}: {error.strerror}")
        return Completed(returncode=done.returncode, stdout=done.stdout, stderr=done.stderr)
