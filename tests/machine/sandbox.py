"""The namespaces and processes around a machine: what systemd-nspawn needs to boot it and leave nothing behind.

A *holder* process has a mount and a PID namespace of its own, where the machine's root file system is mounted and
systemd-nspawn runs. It ends when this process closes its end of a pipe or dies, and the kernel then ends everything
in the namespaces and drops the mounts.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine.cache import cache_folder
from tests.machine.overlay import MOUNTED, UNSHARE, mount_script, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

#: nspawn(1): no machined is needed; containers in the machine need every capability, keyrings and BPF filters.
NSPAWN = (
    "systemd-nspawn",
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--capability=all",
    "--system-call-filter=@keyring bpf",
    "--bind=/dev/fuse",
    "--link-journal=no",
    "--resolv-conf=off",
    "--network-veth",
)

#: Folders that lie on no overlay, as on a real host: podman and Docker keep their layers as overlays, which cannot lie
#: on one, and `apply` refuses to keep generations there.
PLAIN_FOLDERS = ("etc", "home", "var/lib/containers", "var/lib/docker")


class Sandbox:
    """The mounted root file system of one machine, and the machine's processes while it runs."""

    def __init__(self, layers: Sequence[Path], *, name: str) -> None:
        """Mount *layers*, the topmost first, under a writable one."""
        self.name = name
        self.console = cache_folder() / f"{name}.console"
        self.leader: int | None = None
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._cgroup = _cgroup_root() / "modelgrid-tests" / name
        scratch_folder()
        copies = "".join(
            f"mkdir -p plain/{name} root/{name}\ncp -a root/{name}/. plain/{name}\n" for name in PLAIN_FOLDERS
        )
        script = f"{mount_script(layers)}{copies}echo {MOUNTED}\nexec cat >/dev/null"
        self._holder = subprocess.Popen(
            [*UNSHARE, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline().decode() != f"{MOUNTED}\n":
            self.close()
            raise RuntimeError(f"the root file system of {name} cannot be mounted")

    def start(self, argv: Sequence[str] = ()) -> None:
        """Start the machine with its own init, or with *argv* under a stub init. Does not wait for anything in it."""
        self._remove_cgroup()
        self._cgroup.mkdir(parents=True)
        scratch = scratch_folder()
        command = [*NSPAWN, f"--machine={self.name}", "--hostname=host", f"--directory={scratch}/root"]
        command += [f"--bind={scratch}/plain/{folder}:/{folder}" for folder in PLAIN_FOLDERS]
        command += ["--as-pid2", "--", *argv] if argv else ["--boot"]
        (first,) = _children(self._holder.pid)
        # a cgroup of its own: nspawn makes the machine's below the one that it runs in
        script = f"""
echo $$ >{shlex.quote(str(self._cgroup))}/cgroup.procs
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec nsenter --target {first} --mount --pid -- {shlex.join(command)}
"""
        with self.console.open("wb") as console:
            self._nspawn = subprocess.Popen(
                ["sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def find_leader(self) -> int | None:
        """The host's PID of the machine's PID 1, or None as long as there is none (see `ended`, too)."""
        self.leader = None
        if self._nspawn is not None:
            for nspawn in _children(self._nspawn.pid):
                for child in _children(nspawn):
                    if _pid_inside(child) == 1:
                        self.leader = child
        return self.leader

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs *argv* in the running machine."""
        assert self.leader is not None, f"{self.name} is not running"
        # a cgroup within the machine's, so that the process looks there like one of its own
        group = self._cgroup / "payload" / "tests.scope"
        quoted = shlex.quote(str(group))
        script = f"mkdir -p {quoted}; echo $$ >{quoted}/cgroup.procs; exec nsenter --target {self.leader} --all -- "
        return ["sh", "-c", script + shlex.join(argv)]

    def ended(self) -> bool:
        """Whether the machine has been started and runs no more."""
        return self._nspawn is not None and self._nspawn.poll() is not None

    def kill(self) -> None:
        """End every process of the machine at once, as a power cut would. Its files stay."""
        if self._nspawn is None:
            return
        for nspawn in _children(self._nspawn.pid):
            for child in _children(nspawn):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        try:
            self._nspawn.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait(timeout=5)
        self.stopped()

    def stopped(self) -> None:
        """Take note that the machine's processes have ended; it can be started again."""
        self.leader = None
        self._nspawn = None
        self._remove_cgroup()

    def close(self) -> None:
        """End every process, unmount everything and drop all files."""
        self.kill()
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()
        self._holder.wait(timeout=10)
        self._remove_cgroup()
        self.console.unlink(missing_ok=True)

    def _remove_cgroup(self) -> None:
        if not self._cgroup.exists():
            return
        deadline = time.monotonic() + 5
        groups = sorted((path for path in self._cgroup.rglob("*") if path.is_dir()), reverse=True)
        for group in [*groups, self._cgroup]:
            while True:
                try:
                    group.rmdir()
                    break
                except OSError:  # the kernel is still ending a process in there
                    if time.monotonic() > deadline:
                        return
                    time.sleep(0.01)


def _children(pid: int) -> list[int]:
    """The child processes of *pid*."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except FileNotFoundError:
        return []


def _pid_inside(pid: int) -> int | None:
    """The PID of *pid* in the innermost PID namespace that it is in."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def _cgroup_root() -> Path:
    """Where the host's cgroup v2 hierarchy is mounted."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, target, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(target)
    raise RuntimeError("this host has no cgroup v2 hierarchy")
