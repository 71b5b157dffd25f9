"""A tar archive whose bytes follow from its entries alone: sorted, owned by root, from 1970.

The form is POSIX's pax (pax(1), "pax Interchange Format"): ustar, with records for names that it has no room for. The
headers are written here, because those of Python's tarfile differ between releases of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCK: Final = 512
#: An archive ends with two empty blocks, and is a multiple of this long.
_RECORD: Final = 20 * _BLOCK

#: How many bytes of a path, or of a link's target, a header holds.
_ROOM: Final = 100

_REGULAR: Final = b"0"
_LINK: Final = b"2"
_FOLDER: Final = b"5"
_EXTENDED: Final = b"x"

#: Folders that every host has: an entry would change their owner and mode.
_OF_THE_SYSTEM: Final = frozenset(
    {
        *("etc", "etc/systemd", "etc/systemd/system"),
        *("usr", "usr/lib", "usr/lib/systemd", "usr/lib/systemd/system", "usr/share"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A regular file; *path* without a slash in front."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A symbolic link."""

    path: str
    target: str


def write_archive(entries: Iterable[File | Link]) -> bytes:
    """Return the archive of *entries* and of the folders that they lie in, but for those that every system has."""
    by_path = {entry.path: entry for entry in entries}
    folders = {folder for path in by_path for folder in _parents(path)} - _OF_THE_SYSTEM
    blocks = []
    for path in sorted({*by_path, *folders}):
        match by_path.get(path):
            case File(content=content, mode=mode):
                blocks += [_header(path, kind=_REGULAR, mode=mode, size=len(content)), _padded(content, _BLOCK)]
            case Link(target=target):
                blocks.append(_header(path, kind=_LINK, mode=0o777, target=target))
            case None:
                blocks.append(_header(f"{path}/", kind=_FOLDER, mode=0o755))
    return _padded(b"".join(blocks) + bytes(2 * _BLOCK), _RECORD)


def _parents(path: str) -> Iterable[str]:
    parts = path.split("/")[:-1]
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _header(path: str, *, kind: bytes, mode: int, size: int = 0, target: str = "") -> bytes:
    """Return the header of an entry, behind one that says what it has no room for."""
    name, link = path.encode(), target.encode()
    long = {key: value for key, value in (("linkpath", link), ("path", name)) if len(value) > _ROOM}
    extended = b""
    if long:
        records = b"".join(_record(key, value) for key, value in long.items())
        extended = _block(b"PaxHeader", b"", kind=_EXTENDED, mode=0o644, size=len(records)) + _padded(records, _BLOCK)
    return extended + _block(name[:_ROOM], link[:_ROOM], kind=kind, mode=mode, size=size)


def _block(name: bytes, link: bytes, *, kind: bytes, mode: int, size: int) -> bytes:
    numbers = (_octal(mode, 8), _octal(0, 8), _octal(0, 8), _octal(size, 12), _octal(0, 12))
    before = name.ljust(_ROOM, b"\0") + b"".join(numbers)
    owner = b"root".ljust(32, b"\0")
    after = b"".join((kind, link.ljust(_ROOM, b"\0"), b"ustar\x0000", owner, owner, _octal(0, 8), _octal(0, 8)))
    # the sum is taken with its own field full of spaces
    total = sum(before) + sum(b" " * 8) + sum(after)
    return _padded(before + f"{total:06o}".encode() + b"\0 " + after, _BLOCK)


def _record(key: str, value: bytes) -> bytes:
    """Return a record of an extended header: it begins with its own length, in digits that count too."""
    text = b" " + key.encode() + b"=" + value + b"\n"
    length = len(text)
    while len(str(length)) + len(text) != length:
        length = len(str(length)) + len(text)
    return str(length).encode() + text


def _octal(number: int, width: int) -> bytes:
    return f"{number:0{width - 1}o}".encode() + b"\0"


def _padded(data: bytes, unit: int) -> bytes:
    return data + bytes(-len(data) % unit)
