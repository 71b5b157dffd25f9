"""Writes a compiled tree, or another form of it, to a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.artifact import SUMS, checksums, read_checksums
from modelgrid.errors import HostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from modelgrid.forms.output import OutputFile


def write_tree(folder: Path, files: Iterable[OutputFile]) -> None:
    """Make *folder* hold *files* and their checksums, and nothing else.

    A folder that has files of another origin is left alone.

    Raises:
        UsageError: the folder is no empty one and was not written by ``compile``.
        HostError: it cannot be written.
    """
    contents = {file.path: (file.content, file.mode) for file in files}
    sums = checksums({path: content for path, (content, _) in contents.items()})
    try:
        _clear(folder)
        for path, (content, mode) in {**contents, SUMS: (sums.encode(), 0o644)}.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=mode)
            file.chmod(mode)
            file.write_bytes(content)
    except OSError as error:
        raise HostError(f"cannot write to {folder}: {error.strerror or error}") from error


def _clear(folder: Path) -> None:
    """Remove what an earlier ``compile`` wrote to *folder*: the list of checksums says what that was."""
    if not folder.exists():
        return
    foreign = UsageError(
        f"{folder} holds something that compile did not write", hint="name a new or empty folder with -o"
    )
    if not folder.is_dir():
        raise foreign
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    try:
        written = read_checksums((folder / SUMS).read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        written = {}
    if found - {SUMS, *written}:
        raise foreign
    for path in found:
        (folder / path).unlink()
    for inner in sorted(folder.rglob("*"), reverse=True):
        inner.rmdir()
