"""Writes a compiled tree, or another form of it, to a folder; reads a compiled tree back."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.emit.artifact import SUMS, Artifact, checksums, read_checksums
from modelgrid.emit.names import TARGET
from modelgrid.emit.unitfile import UnitSyntaxError, parse_unit
from modelgrid.errors import ConfigError, HostError, UsageError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def is_tree(name: str) -> bool:
    """Say whether *name* is a folder that ``compile`` wrote."""
    return name != "-" and (Path(name) / SUMS).is_file()


def read_tree(folder: Path, *, scope: Scope | None = None) -> tuple[Artifact, ...]:
    """Read a tree that ``compile`` wrote, sorted by path.

    Raises:
        ConfigError: it is not whole: a file is missing, altered or of another origin.
        UsageError: it was compiled for units of another than *scope*.
    """
    try:
        recorded = read_checksums((folder / SUMS).read_text(encoding="utf-8"))
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {SUMS}
        for path in sorted(found ^ recorded.keys()):
            raise _not_whole(folder, f"{path} is {'missing' if path in recorded else 'not of it'}")
        tree = tuple(_read(folder, path, digest) for path, digest in sorted(recorded.items()))
    except (OSError, UnicodeDecodeError) as error:
        raise _not_whole(folder, str(error)) from error
    meant = _scope_of(tree)
    if scope is not None and meant is not None and meant is not scope:
        way = "with --user" if meant is Scope.USER else "without --user"
        raise UsageError(f"{folder} was compiled {way}", hint=f"do this {way} too, or compile it again")
    return tree


def _read(folder: Path, path: str, digest: str) -> Artifact:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or (folder / path).is_symlink():
        raise _not_whole(folder, f"{path} leads out of it")
    content = (folder / path).read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise _not_whole(folder, f"{path} was altered")
    return Artifact(path=path, content=content.decode(), mode=(folder / path).stat().st_mode & 0o777)


def _scope_of(tree: Iterable[Artifact]) -> Scope | None:
    """Return whose units *tree* has, as their target's place in the boot says it; none where it does not."""
    target = next((item.content for item in tree if item.path.endswith(f"/{TARGET}")), "")
    try:
        wanted = parse_unit(target).get(("Install", "WantedBy"), ())
    except UnitSyntaxError:
        return None
    places = {"multi-user.target": Scope.SYSTEM, "default.target": Scope.USER}
    return next((places[word] for word in wanted if word in places), None)


def _not_whole(folder: Path, why: str) -> ConfigError:
    return ConfigError(f"{folder} is no whole tree of compile: {why}", hint="compile it again")
