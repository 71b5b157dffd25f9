"""Which network a machine has, so that machines of several test runs do not meet."""

from __future__ import annotations

import fcntl
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: The locks of all test runs on this host, whatever their cache.
LOCKS = Path("/run/modelgrid-tests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A /24 that belongs to one machine as long as *lock* is open. *number* is unique on this host."""

    number: int
    prefix: str
    lock: IO[str]

    @property
    def host(self) -> str:
        """The address of the host's end."""
        return f"{self.prefix}.1"

    @property
    def machine(self) -> str:
        """The address of the machine's end."""
        return f"{self.prefix}.2"

    def release(self) -> None:
        """Let another machine have it."""
        self.lock.close()


def claim_subnet() -> Subnet:
    """The first free subnet of 10.77.0.0/16, or of the /16 that ``$MODELGRID_TEST_NETWORK`` (such as "10.99") names."""
    network = os.environ.get("MODELGRID_TEST_NETWORK") or "10.77"
    LOCKS.mkdir(exist_ok=True)
    for number in range(256):
        prefix = f"{network}.{number}"
        lock = (LOCKS / str(number)).open("a", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if _in_use(prefix):
            lock.close()
            continue
        return Subnet(number=number, prefix=prefix, lock=lock)
    raise RuntimeError(f"every subnet of {network}.0.0/16 is in use")


def _in_use(prefix: str) -> bool:
    """Whether the host has an address that begins with *prefix*, as of a network that is not ours."""
    argv = ["ip", "-oneline", "-4", "address", "show"]
    return f" {prefix}." in subprocess.run(argv, check=True, capture_output=True, text=True).stdout
