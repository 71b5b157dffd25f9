"""The last lines that a unit has in the journal, without what podman notes there for itself."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from modelgrid.apply.process import Processes

#: Entries that are read for each line that is wanted: podman notes each check of a container's health.
_MORE = 10

#: What ``podman run --detach`` prints: the identifier of the container.
_CONTAINER = re.compile(r"[0-9a-f]{64}\Z")


def last_lines(
    processes: Processes, unit: str, *, since: datetime, count: int, options: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the last *count* lines that *unit* has written since *since*; none where there is no journal.

    *options* are for journalctl: ``--user`` for a user's unit.
    """
    start = f"--since=@{int(since.timestamp())}"
    # --all: a long line would be left out of JSON without it (journalctl(1))
    argv = ("journalctl", *options, "-u", unit, start, "-n", str(count * _MORE), "--no-pager", "--all", "-o", "json")
    done = processes.run(*argv)
    return tuple(_lines(done.stdout))[-count:] if done.returncode == 0 else ()


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and not _is_podmans(entry):
            yield from _message(entry.get("MESSAGE")).splitlines()


def _is_podmans(entry: dict[str, Any]) -> bool:
    """Say whether podman wrote *entry* about a container (libpod/events/journal_linux.go), not the container."""
    if "PODMAN_EVENT" in entry:
        return True
    return entry.get("_COMM") == "podman" and _CONTAINER.match(_message(entry.get("MESSAGE"))) is not None


def _message(value: object) -> str:
    """Return the text of a field, which is a list of bytes where it is not UTF-8 (systemd.journal-fields(7))."""
    if isinstance(value, list) and all(type(item) is int and item in range(256) for item in value):
        return bytes(value).decode(errors="replace")
    return value if isinstance(value, str) else ""
