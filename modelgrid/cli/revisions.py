"""Reads files as they were in a git revision, without touching the working tree: the only user of git."""

from __future__ import annotations

import os
import posixpath
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.errors import ConfigError, HostError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: As much of a file as is read: that of the largest configuration.
_LARGEST = 10 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The files of one commit. *folder* is the one that names are relative to, below the top, with ``/`` at its end."""

    name: str
    commit: str
    top: Path
    folder: str

    def read(self, path: str) -> bytes | None:
        """Return the file *path*, relative to the folder; none where the commit has no such file.

        Symbolic links inside of the repository are followed.

        Raises:
            HostError: git cannot read it.
        """
        inside = self.inside(path)
        if inside is None or "\n" in inside or "\0" in inside:
            return None
        argv = ["cat-file", "--batch", "--follow-symlinks"]
        done = _git(self.top, argv, text=os.fsencode(f"{self.commit}:{inside}\n"))
        head, _, rest = done.stdout.partition(b"\n")
        words = head.split()
        if done.returncode != 0:
            raise _failed(done)
        # three words for what is there: object, kind, size; else "… missing", "dangling …", "symlink …"
        if len(words) != 3 or words[1] != b"blob" or int(words[2]) > _LARGEST:  # noqa: PLR2004  see above
            return None
        return rest[: int(words[2])]

    def inside(self, path: str) -> str | None:
        """Return *path*, relative to the folder, as it is below the top; none where it leads out of the repository."""
        joined = posixpath.normpath(posixpath.join(self.folder, path))
        return None if joined.startswith(("/", "../")) or joined == ".." else joined

    def export(self, paths: Iterable[str], root: Path) -> None:
        """Write those of *paths* that the commit has below *root*, as they lie below the top of the repository.

        Raises:
            HostError: git cannot read one.
        """
        (root / self.folder).mkdir(parents=True, exist_ok=True)
        for path in dict.fromkeys(paths):
            inside, content = self.inside(path), self.read(path)
            if inside is not None and content is not None:
                target = root / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)


def find_revision(name: str, folder: Path) -> Revision | None:
    """Return the commit that *name* is in the repository around *folder*; none where it is none.

    Raises:
        ConfigError: *folder* is in no repository.
        HostError: git is missing or refuses the repository.
    """
    place = _git(folder, ["rev-parse", "--show-toplevel", "--show-prefix"])
    if place.returncode != 0:
        if b"not a git repository" in place.stderr:
            raise ConfigError(f"{folder} is in no git repository", hint="give --base a file instead of a revision")
        raise _failed(place)
    top, prefix = place.stdout.split(b"\n")[:2]
    found = _git(folder, ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"])
    if found.returncode != 0:
        return None
    commit = found.stdout.decode("ascii").strip()
    return Revision(name=name, commit=commit, top=Path(os.fsdecode(top)), folder=os.fsdecode(prefix))


def _git(folder: Path, arguments: list[str], *, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607  git is where the user has it
            input=text,
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise HostError("git is missing", hint="install git, or give --base a file") from error


def _failed(done: subprocess.CompletedProcess[bytes]) -> HostError:
    said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
    return HostError(f"git cannot read the repository: {said}")
