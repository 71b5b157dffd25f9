"""Hashes the weights of a host: a file, the files that belong with it, or a folder. Streamed, whatever their size."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final

from modelgrid.lock.values import LockedFile, LockedModel
from modelgrid.models.splits import split_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE: Final = 1024**2
#: More files than any folder of weights has; a folder with more is not one.
_MOST_FILES: Final = 10_000


class UnhashableError(Exception):
    """The weights cannot be read, or change while they are read."""


def hash_path(path: Path) -> LockedModel:
    """Return size and SHA-256 of the weights at *path*.

    Of one of several GGUF files that belong together, all are hashed; of a folder, every file in it but those whose
    name, or whose folder's, starts with a dot. Links are followed, as the server follows them.

    Raises:
        FileNotFoundError: something of it is missing.
        UnhashableError: it cannot be read, is no file, or has a name that no lock file can hold.
        OSError: the disk fails.
    """
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in _walk(path)}
        if not files:
            raise UnhashableError(f"the folder {path} has no file")
    else:
        files = {name: path.with_name(name) for name in split_names(path.name)}
    for name in files:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise UnhashableError(f"the name of {name!r} is not UTF-8") from None
    return LockedModel(files={name: hash_file(file) for name, file in files.items()})


def hash_file(file: Path) -> LockedFile:
    """Return size and SHA-256 of one file.

    Raises:
        UnhashableError: it is no file, or another process writes to it.
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    size = 0
    with file.open("rb", buffering=0) as stream:
        before = os.fstat(stream.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise UnhashableError(f"{file} is no file")
        while piece := stream.read(_PIECE):
            digest.update(piece)
            size += len(piece)
        after = os.fstat(stream.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
        raise UnhashableError(f"{file} changed while it was read")
    return LockedFile(size=size, sha256=digest.hexdigest())


def _walk(folder: Path) -> Iterator[Path]:
    count = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith("."):
                continue
            count += 1
            if count > _MOST_FILES:
                raise UnhashableError(f"the folder {folder} has more than {_MOST_FILES} files")
            yield folder.joinpath(place, name)
