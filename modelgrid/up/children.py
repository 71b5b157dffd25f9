"""The processes that ``up`` starts. None of them outlives it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import FrameType

_GUARD = Path(__file__).with_name("guard.py")
_LOG_LINES = 12
_LOG_BYTES = 16384
_LONGEST_LINE = 300
#: Seconds that the guard may take to end a group whose members ignore SIGTERM, and to remove the folder.
_GUARD_PATIENCE = 5.0


class ChildError(HostError):
    """A child ended, or did not do what it was started for. The logs stay."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Child:
    """One process: *name* is what people know it by, *log* gets its stdout and stderr.

    *begun* is the start in the time of ``time.monotonic``, *stop_timeout* the seconds from SIGTERM to SIGKILL.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    begun: float
    stop_timeout: float

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.begun

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def failure(self, when: str = "") -> ChildError:
        """Say how the process ended, which it has, with the end of its log."""
        code = self.process.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
        lines = self._last_lines()
        last = f": {lines[-1]}" if lines else ""
        return ChildError(f"{self.name} ended with {how}{when}{last}", hint=self._log_text(lines))

    def late(self, timeout: float, reason: str) -> ChildError:
        """Say that it was not ready after *timeout* seconds, and why, with the end of its log."""
        message = f"{self.name} was not ready after {timeout:.0f} s: {reason}"
        return ChildError(message, hint=self._log_text(self._last_lines()))

    def _last_lines(self) -> list[str]:
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LOG_BYTES))
            text = file.read().decode(errors="replace")
        lines = [line.strip()[:_LONGEST_LINE] for line in text.splitlines()]
        return [line for line in lines if line][-_LOG_LINES:]

    def _log_text(self, lines: list[str]) -> str:
        return f"{self.log} ends with:" + "".join(f"\n  {line}" for line in lines or ["(nothing)"])


class Children:
    """Starts processes and ends them all: on leaving the context, or by the guard when that never happens.

    Attributes:
        folder: private to this user, for the life of the context. After a failure the logs stay in it.
        logs: folder of the logs, below *folder*.
    """

    def __init__(self) -> None:
        """Make the folder and start the guard.

        Raises:
            HostError: there is no room for temporary files.
        """
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="modelgrid-up-"))
        except OSError as error:
            raise HostError(f"cannot make a temporary folder: {error.strerror}", hint="set TMPDIR to one") from error
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        self._children: list[Child] = []
        self._hurried = False
        self._guard = subprocess.Popen(
            # -I -S: it needs the standard library alone, and shall not cost the start of a whole interpreter
            [sys.executable, "-I", "-S", str(_GUARD), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **_own_group(0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._on_signal_hurry()
        self._stop()
        keep = kind is not None and issubclass(kind, ChildError)
        if keep:
            for path in self.folder.iterdir():
                if path != self.logs:
                    path.unlink()
        self._dismiss(["quick", "keep"] if keep else ["quick"])

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: str,
        environment: Mapping[str, str] | None = None,
        stop_timeout: float = 5.0,
    ) -> Child:
        """Start *argv* with *environment* added to that of this process. Its output goes to the file *log* of the logs.

        Raises:
            HostError: there is no such program, or it cannot be run.
        """
        path = self.logs / log
        begun = time.monotonic()
        try:
            with path.open("ab") as output:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **_python_environment(), **(environment or {})},
                    **_own_group(self._guard.pid),
                )
        except OSError as error:
            raise HostError(f"cannot start {name}: {argv[0]}: {error.strerror or error}") from error
        if sys.platform == "win32":
            self._tell(str(process.pid))
        child = Child(name=name, process=process, log=path, begun=begun, stop_timeout=stop_timeout)
        self._children.append(child)
        return child

    def forget(self, child: Child) -> None:
        """Take *child*, which has ended as it was meant to, off the list."""
        self._children.remove(child)

    def first_ended(self) -> Child | None:
        """Return the first child that has ended, if any has."""
        return next((child for child in self._children if child.ended), None)

    def _stop(self) -> None:
        """End the last that was started, the gateway, and then the others, so that none asks one that is gone."""
        for stage in (self._children[-1:], self._children[:-1]):
            for child in stage:
                if not child.ended:
                    child.process.terminate()
            self._wait(stage)

    def _wait(self, children: Iterable[Child]) -> None:
        begin = time.monotonic()
        for child in children:
            while not child.ended:
                if self._hurried or time.monotonic() - begin > child.stop_timeout:
                    child.process.kill()
                    child.process.wait()
                else:
                    time.sleep(0.02)

    def _on_signal_hurry(self) -> None:
        """From here on a signal does not interrupt: it ends the patience with children that take their time."""

        def hurry(_number: int, _frame: FrameType | None) -> None:
            self._hurried = True

        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, hurry)
        except ValueError:  # signals are the main thread's
            return

    def _tell(self, word: str) -> None:
        assert self._guard.stdin is not None, "it was asked for"
        self._guard.stdin.write(f"{word}\n".encode())
        self._guard.stdin.flush()

    def _dismiss(self, words: Iterable[str]) -> None:
        assert self._guard.stdin is not None, "it was asked for"
        assert self._guard.stdout is not None, "it was asked for"
        try:
            for word in words:
                self._tell(word)
            self._guard.stdin.close()
            self._guard.wait(_GUARD_PATIENCE)
            self._guard.stdout.read()
        except (OSError, subprocess.TimeoutExpired):
            # somebody has killed the guard; the children have ended, so only the folder is left
            self._guard.kill()
            self._guard.wait()
            if "keep" not in words:
                shutil.rmtree(self.folder, ignore_errors=True)
        self._guard.stdout.close()


def _python_environment() -> dict[str, str]:
    """Return what children that run Python need, so that ``python -m`` imports nothing from the working directory."""
    variables = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    root = str(Path(__file__).parents[2])
    if root == sys.path[0]:
        # `python -m modelgrid` in a checkout: this process itself comes from there, and is not installed
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return variables


def _own_group(leader: int) -> dict[str, Any]:
    """Return what Popen needs to put a child into the group of *leader*, 0 for a group of its own.

    A terminal's Ctrl-C goes to the group of ``up`` alone, which then ends the others in order.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:  # noqa: RET505  without it mypy finds the next line unreachable on Windows
        return {"process_group": leader}
