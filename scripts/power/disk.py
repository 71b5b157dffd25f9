"""A disk with a write cache that forgets when its power goes: a server of the NBD protocol for QEMU.

What the guest wrote is safe when it flushed afterwards, or wrote with FUA. Of the rest a power cut leaves nothing, the
first so many writes, or any of the sectors, in no order: a real disk may do each of these.

The protocol is that of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md; what QEMU needs of it.
"""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from pathlib import Path

_MAGIC = 0x4E42444D41474943
_OPTION = 0x49484156454F5054
_OPTION_REPLY = 0x3E889045565A9
_REQUEST = 0x25609513
_REPLY = 0x67446698
_EXPORT_NAME, _ABORT, _INFO, _GO = 1, 2, 6, 7
_ACK, _INFO_REPLY, _UNSUPPORTED = 1, 3, 0x80000001
_READ, _WRITE, _DISCONNECT, _FLUSH = range(4)
_FUA = 1
#: has flags, takes flushes, takes FUA
_FLAGS = 1 | 4 | 8


class Loss(Enum):
    """What a power cut leaves of the writes that were not flushed."""

    ALL = "nothing of them"
    TAIL = "the first of them"
    ANY = "any sectors of them"


@dataclass(frozen=True, slots=True)
class Write:
    """A write since the last flush; *kept* when it was FUA, and so is safe."""

    offset: int
    data: bytes
    kept: bool


class Disk:
    """A disk with the content *image*, served at *path* to one client after the other.

    Of what it writes, *sector* bytes are there as a whole or not at all.
    """

    def __init__(self, path: Path, image: bytes, *, sector: int) -> None:
        self._sector = sector
        self._now = bytearray(image)
        self._safe = bytearray(image)
        self._open: list[Write] = []
        self._lock = threading.Lock()
        self.flushes = 0
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(1)
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self, loss: Loss, dice: random.Random) -> tuple[int, int]:
        """Take the power away; the client must be dead. Return how many sectors were not flushed, and how many stay."""
        with self._lock:
            sectors = [
                Write(write.offset + at, write.data[at : at + self._sector], write.kept)
                for write in self._open
                for at in range(0, len(write.data), self._sector)
            ]
            tail = dice.randint(0, len(sectors)) if loss is Loss.TAIL else 0
            chance = dice.random() if loss is Loss.ANY else 0.0
            kept = [part for at, part in enumerate(sectors) if part.kept or at < tail or dice.random() < chance]
            for part in kept:
                self._safe[part.offset : part.offset + len(part.data)] = part.data
            for part in sectors:
                end = part.offset + len(part.data)
                self._now[part.offset : end] = self._safe[part.offset : end]
            self._open.clear()
            return len(sectors), len(kept)

    def _serve(self) -> None:
        while True:
            client, _ = self._server.accept()
            try:
                if self._agree(client):
                    self._answer(client)
            except (ConnectionError, EOFError):
                # the guest was killed: that is what this is for
                pass
            finally:
                client.close()

    def _agree(self, client: socket.socket) -> bool:
        client.sendall(struct.pack(">QQH", _MAGIC, _OPTION, 1))
        _read(client, 4)
        while True:
            _, option, length = struct.unpack(">QII", _read(client, 16))
            _read(client, length)
            if option == _EXPORT_NAME:
                client.sendall(struct.pack(">QH124x", len(self._now), _FLAGS))
                return True
            if option in (_GO, _INFO):
                info = struct.pack(">HQH", 0, len(self._now), _FLAGS)
                client.sendall(struct.pack(">QIII", _OPTION_REPLY, option, _INFO_REPLY, len(info)) + info)
                client.sendall(struct.pack(">QIII", _OPTION_REPLY, option, _ACK, 0))
                if option == _GO:
                    return True
            elif option == _ABORT:
                client.sendall(struct.pack(">QIII", _OPTION_REPLY, option, _ACK, 0))
                return False
            else:
                client.sendall(struct.pack(">QIII", _OPTION_REPLY, option, _UNSUPPORTED, 0))

    def _answer(self, client: socket.socket) -> None:
        while True:
            magic, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", _read(client, 28))
            assert magic == _REQUEST
            data = _read(client, length) if kind == _WRITE else b""
            with self._lock:
                if kind == _DISCONNECT:
                    return
                if kind == _READ:
                    data = bytes(self._now[offset : offset + length])
                elif kind == _WRITE:
                    self._now[offset : offset + length] = data
                    self._open.append(Write(offset, data, bool(flags & _FUA)))
                    data = b""
                elif kind == _FLUSH:
                    self._flush()
                error = 0 if kind in (_READ, _WRITE, _FLUSH) else 22
            client.sendall(struct.pack(">IIQ", _REPLY, error, handle) + data)

    def _flush(self) -> None:
        self.flushes += 1
        for write in self._open:
            self._safe[write.offset : write.offset + len(write.data)] = write.data
        self._open.clear()


def _read(client: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        part = client.recv(length)
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
