"""How much main memory the host has free, and how much the processes of a unit hold (proc(5), cgroups(7))."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.store.files import Kind, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelgrid.apply.host import Host

#: What a second server needs over what the first one holds: it has answered nothing yet, and may grow.
_MARGIN = 1.25

_CGROUPS = Path("/sys/fs/cgroup")
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)


def has_memory_for_another(host: Host, unit: str) -> bool:
    """Say whether the memory that is available would hold a second server like *unit*, with a quarter more.

    Where that cannot be known, it would not.
    """
    held = memory_of(host, unit)
    available = available_memory(host)
    return held is not None and available is not None and held * _MARGIN <= available


def available_memory(host: Host) -> int | None:
    """Return the bytes that a new program may take without swapping, as the kernel estimates them; none if unknown."""
    try:
        found = _AVAILABLE.search(host.files.read(Path("/proc/meminfo")).decode(errors="replace"))
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def memory_of(host: Host, unit: str) -> int | None:
    """Return the resident bytes of all processes of *unit*, with pages that they share counted each time.

    None where it has no process, or none that can be seen.
    """
    group = host.systemd.control_group(unit)
    if not group:
        return None
    pages = [int(words[1]) for process in _processes(host, group) if len(words := _statm(host, process)) > 1]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") if pages else None


def _processes(host: Host, group: str) -> Iterator[str]:
    folder = _CGROUPS / group.lstrip("/")
    if host.files.kind(folder) is not Kind.FOLDER:
        return
    for name in walk(host.files, folder):
        if name.rpartition("/")[2] == "cgroup.procs":
            try:
                yield from host.files.read(folder / name).decode().split()
            except OSError:
                # a group that ended meanwhile, or one of threads (EOPNOTSUPP)
                continue


def _statm(host: Host, process: str) -> list[str]:
    try:
        return host.files.read(Path("/proc") / process / "statm").decode().split()
    except OSError:
        return []
