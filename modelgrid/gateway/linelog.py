"""Lines of JSON to stderr: one per request, one per event. Never a prompt, a secret or a path that a client made up."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

import msgspec

_INTERVAL = 0.2
#: Writes up to this many bytes are not torn apart by other processes on the same pipe (POSIX: PIPE_BUF).
_WRITE = 4096
#: More bytes than this are not held for a reader that is too slow; the lines are counted instead.
_LIMIT = 1024 * 1024


class LineLog:
    """Collects lines and writes them from a thread, a few times a second: a stuck reader stops no request."""

    def __init__(self, fd: int = 2) -> None:
        self._fd = fd
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._writing = False

    def write(self, fields: dict[str, object]) -> None:
        """Add a line of *fields*, after the time. Call it in the event loop."""
        line = msgspec.json.encode({"time": _now(), **fields}) + b"\n"
        if self._size + len(line) > _LIMIT:
            self._dropped += 1
            return
        self._lines.append(line)
        self._size += len(line)
        if not self._writing:
            self._writing = True
            asyncio.get_running_loop().call_later(_INTERVAL, self._start)

    def event(self, name: str, **fields: object) -> None:
        """Add a line about the gateway itself."""
        self.write({"event": name, **fields})

    def flush(self) -> None:
        """Write what is there, at the end."""
        self._write(self._take())

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._write, self._take()).add_done_callback(self._done)

    def _done(self, done: asyncio.Future[None]) -> None:
        done.exception()  # stderr is closed: there is nowhere left to say so
        self._writing = False
        if self._lines:
            self._writing = True
            asyncio.get_running_loop().call_later(_INTERVAL, self._start)

    def _take(self) -> list[bytes]:
        lines = self._lines
        if self._dropped:
            lines.append(
                msgspec.json.encode({"time": _now(), "event": "lines_dropped", "count": self._dropped}) + b"\n"
            )
        self._lines, self._size, self._dropped = [], 0, 0
        return lines

    def _write(self, lines: list[bytes]) -> None:
        batch = b""
        for line in lines:
            if batch and len(batch) + len(line) > _WRITE:
                _write_all(self._fd, batch)
                batch = b""
            batch += line
        _write_all(self._fd, batch)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
