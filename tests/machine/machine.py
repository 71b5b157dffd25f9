"""A machine for tests: a Debian with its own systemd, network and files, which tests start and look into.

::

    with Machine(ready_layers("trixie")) as machine:
        machine.boot()
        machine.run(["podman", "info"])

Nothing of it outlives the test run, however that ends; the cached root file systems are never written to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import IO, TYPE_CHECKING, Self

from tests.machine.sandbox import Sandbox
from tests.machine.subnet import claim_subnet
from tests.requirements import require_root, require_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

#: The environment of every command in a machine, as systemd's own for system services.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}


class CommandFailed(AssertionError):  # noqa: N818 - it reads as what happened
    """A command in a machine ended with another code than 0. Says the command and what it wrote."""

    def __init__(self, argv: Sequence[str], process: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"{' '.join(argv)}: code {process.returncode}\n{process.stdout}{process.stderr}".rstrip())
        self.process = process


class Machine:
    """A machine. It is off until `boot`; its files live until `close`, over any number of boots."""

    def __init__(self, layers: Sequence[Path]) -> None:
        """Mount *layers*, root file systems with the topmost first, for it. Skips the test where that cannot be."""
        require_root()
        require_tools("ip", "nsenter", "systemd-nspawn", "unshare")
        self._subnet = claim_subnet()
        self.name = f"mg{self._subnet.number}"
        self._interface = f"ve-{self.name}"
        try:
            self._sandbox = Sandbox(layers, name=self.name)
        except BaseException:
            self._subnet.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """The machine's address for the host."""
        return self._subnet.machine

    @property
    def host_address(self) -> str:
        """The host's address for the machine."""
        return self._subnet.host

    @property
    def is_on(self) -> bool:
        """Whether it has been booted and not been switched off since."""
        return self._sandbox.leader is not None

    # power

    def boot(self, argv: Sequence[str] = (), *, timeout: float = 60) -> None:
        """Switch it on and wait until systemd has started everything.

        With *argv* no systemd runs: a stub init does, with *argv* as its only child (``["sleep", "infinity"]``).
        """
        self._sandbox.start(argv)
        self._wait(self._is_up if not argv else self._has_leader, timeout=timeout, what="boot")
        # netavark sets sysctls for its networks
        self.run(["mount", "-o", "remount,rw", "/proc/sys"])
        # as a host has it: rootless containers get their network through it
        self.run(["chmod", "666", "/dev/net/tun"])
        for command in (
            ["addr", "replace", f"{self.host_address}/24", "dev", self._interface],
            ["link", "set", self._interface, "up"],
        ):
            subprocess.run(["ip", *command], check=True)
        self.run(["ip", "addr", "replace", f"{self.address}/24", "dev", "host0"])
        self.run(["ip", "link", "set", "host0", "up"])

    def poweroff(self, *, timeout: float = 60) -> None:
        """Shut it down in order. Its files stay: `boot` starts it again."""
        self.run(["systemctl", "poweroff"], check=False)
        self._wait(self._sandbox.ended, timeout=timeout, what="power off")
        self._off()

    def reboot(self, *, timeout: float = 60) -> None:
        """Shut it down in order and boot it again."""
        self.poweroff(timeout=timeout)
        self.boot(timeout=timeout)

    def cut_power(self) -> None:
        """End everything in it at once. Its files stay, and all that was written is there at the next `boot`.

        So it is the crash of every process; writes that were not yet synced are not lost, as a real disk could.
        """
        self._sandbox.kill()
        self._off()

    def close(self) -> None:
        """End everything in it and drop its files."""
        self._sandbox.close()
        self._off()
        self._subnet.release()

    # commands

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - subprocess.run's own name for it
        stdin: IO[bytes] | None = None,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run *argv* in it as root, or as *user*, and wait. *env* is added to the machine's own environment.

        Raises `CommandFailed` for a code other than 0 if *check*, `subprocess.TimeoutExpired` after *timeout* seconds.
        """
        with self.popen(argv, input=input is not None, stdin=stdin, user=user, env=env) as process:
            try:
                stdout, stderr = process.communicate(input, timeout=timeout)
            except BaseException:
                # nsenter's child, the command itself, is in the same process group
                os.killpg(process.pid, signal.SIGKILL)
                raise
        result = subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)
        if check and result.returncode != 0:
            raise CommandFailed(argv, result)
        return result

    def popen(
        self,
        argv: Sequence[str],
        *,
        input: bool = False,  # noqa: A002 - as in `run`
        stdin: IO[bytes] | None = None,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start *argv* in it, with stdout and stderr (and stdin, if *input*) as pipes; see `run`."""
        words = ["env", "-i", *(f"{name}={value}" for name, value in {**ENVIRONMENT, **(env or {})}.items())]
        if user is not None:
            group = self.run(["id", "--group", user]).stdout.strip()
            words += ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "--"]
        return subprocess.Popen(
            self._sandbox.enter([*words, *argv]),
            stdin=subprocess.PIPE if input else stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def journal(self, unit: str | None = None, *, lines: int | None = None) -> str:
        """The journal of this boot: of *unit*, or all of it; the last *lines* only, if given."""
        argv = ["journalctl", "--boot", "--no-pager", "--quiet", "--output=short-iso"]
        argv += [f"--unit={unit}"] if unit else []
        argv += [f"--lines={lines}"] if lines else []
        return self.run(argv).stdout

    # files

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write *text* to the file *path*, with its folders."""
        script = 'mkdir -p "$(dirname "$1")" && umask 077 && cat >"$1" && chmod "$2" "$1"'
        self.run(["sh", "-euc", script, "sh", path, f"{mode:o}"], input=text)

    def read(self, path: str) -> str:
        """The text of the file *path*."""
        return self.run(["cat", "--", path]).stdout

    def copy_in(self, source: Path, path: str) -> None:
        """Copy the host's file or folder *source* to *path*, with its folders and modes; folders are merged."""
        script = 'mkdir -p "$(dirname "$1")" && tar -x --no-same-owner -C "$(dirname "$1")" --transform "s,^[^/]*,$2,"'
        base = path.rstrip("/").rsplit("/", 1)[-1]
        archive = ["tar", "-c", "-C", str(source.resolve().parent), source.resolve().name]
        with subprocess.Popen(archive, stdout=subprocess.PIPE) as tar:
            self.run(["sh", "-euc", script, "sh", path, base], stdin=tar.stdout)
        assert tar.returncode == 0, f"{source} cannot be read"

    def exists(self, path: str) -> bool:
        """Whether there is anything at *path*."""
        return self.run(["test", "-e", path], check=False).returncode == 0

    # waiting

    def wait_until(self, condition: Callable[[], bool], *, timeout: float = 30, what: str | None = None) -> None:
        """Wait until *condition* holds. Raises `TimeoutError`, saying *what* did not come, with the journal's end."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                journal = self.journal(lines=30)
                raise TimeoutError(
                    f"{what or 'the condition'} did not come in {timeout:g} s; the journal ends:\n{journal}"
                )
            time.sleep(0.05)

    def _wait(self, condition: Callable[[], bool], *, timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline or (what == "boot" and self._sandbox.ended()):
                console = self._sandbox.console.read_text(encoding="utf-8", errors="replace")[-3000:]
                self._sandbox.kill()
                raise TimeoutError(f"{self.name} did not {what}; its console ends:\n{console}")
            time.sleep(0.02)

    def _has_leader(self) -> bool:
        return self._sandbox.find_leader() is not None

    def _is_up(self) -> bool:
        if not self._has_leader():
            return False
        state = self.run(["systemctl", "is-system-running"], check=False).stdout.strip()
        return state in {"running", "degraded"}

    def _off(self) -> None:
        self._sandbox.stopped()
        # the interface goes with the machine's network namespace, which the kernel drops in its own time
        subprocess.run(["ip", "link", "delete", self._interface], check=False, stderr=subprocess.DEVNULL)
