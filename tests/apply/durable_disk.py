"""A disk in memory that remembers every change, and so can say what a power cut would leave of it.

It promises no more than Linux's local file systems do, and less than each of them:

* The content of a file is on the disk after fsync(2) of the file. Before that all, a part or nothing of it is there, or
  zeros of the right length (delayed allocation of ext4 and XFS).
* A name is on the disk after fsync(2) of its folder, however long ago it was made, and whatever else was synced. Names
  that were not synced are there or not, in any combination and in no order, as after the replay of btrfs' log.
* A file, link or folder itself is there when it was synced, or a folder that names it. A name that leads to none of
  them is gone: file systems drop such.
* rename(2) is one step: both names change or none does, also in two folders. It may be lost like any other.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.store.files import FileSystem, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import FrameType
    from typing import Self

ROOT = 1

#: Code whose lines are remembered with each call.
_APPLY = f"{os.sep}modelgrid{os.sep}apply{os.sep}"


@dataclass(frozen=True, slots=True)
class Inode:
    """What never changes of a file, link or folder."""

    kind: Kind
    mode: int
    target: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """A file, link or folder came to be, without a name yet."""

    inode: int


@dataclass(frozen=True, slots=True)
class Wrote:
    """*content* was appended to a file."""

    inode: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Named:
    """Names in one folder changed together; what they lead to now, none where they are gone."""

    folder: int
    names: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """Names in two folders changed together, and both are on the disk once one of the folders was synced."""

    names: tuple[tuple[int, str, int | None], ...]


Effect = Made | Wrote | Named | Moved

#: A line of a module of apply, for the call that came from there: ``("files.py", 208)``.
Line = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One system call: what it changed, or what it synced, and the lines that it was made from, the innermost first."""

    text: str
    effects: tuple[Effect, ...] = ()
    synced: int | None = None
    lines: tuple[Line, ...] = ()


@dataclass(slots=True)
class State:
    """What is on a disk. Inodes are never changed, so states share them."""

    inodes: Mapping[int, Inode]
    names: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    contents: dict[int, bytes] = field(default_factory=dict)
    made: set[int] = field(default_factory=lambda: {ROOT})

    def copy(self) -> Self:
        return type(self)(
            self.inodes,
            {folder: dict(names) for folder, names in self.names.items()},
            dict(self.contents),
            set(self.made),
        )

    def add(self, effect: Effect) -> None:
        match effect:
            case Made(inode):
                self.made.add(inode)
            case Wrote(inode, content):
                self.contents[inode] = self.contents.get(inode, b"") + content
            case Named(folder, names):
                for name, leads_to in names:
                    self._name(folder, name, leads_to)
            case Moved(moves):
                for folder, name, leads_to in moves:
                    self._name(folder, name, leads_to)

    def _name(self, folder: int, name: str, leads_to: int | None) -> None:
        found = self.names.setdefault(folder, {})
        # nothing here has two names, however much of its story was lost
        for other in [other for other, known in found.items() if known == leads_to]:
            del found[other]
        if leads_to is None:
            found.pop(name, None)
        else:
            found[name] = leads_to

    def sync(self, inode: int, effects: Iterable[Effect]) -> list[Effect]:
        """Add those of *effects* that a sync of *inode* puts on the disk; return the others."""
        rest: list[Effect] = []
        for effect in effects:
            match effect:
                case Named(folder) if folder == inode:
                    self.add(effect)
                case Moved(names) if any(folder == inode for folder, _, _ in names):
                    self.add(effect)
                case Wrote(written) if written == inode:
                    self.add(effect)
                case Made(made) if made == inode:
                    self.add(effect)
                case _:
                    rest.append(effect)
        self.made.update(self.names.get(inode, {}).values())
        return [effect for effect in rest if not (isinstance(effect, Made) and effect.inode in self.made)]

    def entry(self, folder: int, name: str) -> int | None:
        """Return what *name* in *folder* leads to."""
        inode = self.names.get(folder, {}).get(name)
        return inode if inode in self.made else None

    def entries(self, folder: int) -> dict[str, int]:
        """Return the names in *folder* that lead to something."""
        return {name: inode for name, inode in self.names.get(folder, {}).items() if inode in self.made}

    def tree(self, inode: int = ROOT) -> object:
        """Return everything below *inode*, as a value that is equal for disks that look the same."""
        known = self.inodes[inode]
        if known.kind is Kind.FOLDER:
            below = tuple((name, self.tree(child)) for name, child in sorted(self.entries(inode).items()))
            return known.mode, below
        return known.mode, known.target if known.kind is Kind.LINK else self.contents.get(inode, b"")


class DurableDisk(FileSystem):
    """The system calls of apply on such a disk, each remembered in *steps* while it is *recording*."""

    def __init__(self, state: State | None = None) -> None:
        super().__init__(Path("/nowhere"))
        self.inodes: dict[int, Inode] = dict(state.inodes) if state else {ROOT: Inode(Kind.FOLDER, 0o755)}
        self.now = state.copy() if state else State(self.inodes)
        self.now.inodes = self.inodes
        self.steps: list[Step] = []
        self.recording = True
        self._numbers = itertools.count(max(self.inodes) + 1)
        self._descriptors: dict[int, int] = {}
        self._locked: dict[int, int] = {}

    # -- reading --------------------------------------------------------------------------------------------------

    def real(self, path: Path) -> Path:
        raise AssertionError("there is no such file outside of memory")

    def kind(self, path: Path) -> Kind | None:
        try:
            _, _, inode = self._find(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if inode is None else self.inodes[inode].kind

    def permissions(self, path: Path) -> int:
        return self.inodes[self._there(path)].mode

    def read(self, path: Path) -> bytes:
        inode = self._there(path, follow=True)
        if self.inodes[inode].kind is Kind.FOLDER:
            raise _error(errno.EISDIR, path)
        return self.now.contents.get(inode, b"")

    def readlink(self, path: Path) -> str | None:
        try:
            _, _, inode = self._find(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if inode is None or self.inodes[inode].kind is not Kind.LINK else self.inodes[inode].target

    def listdir(self, path: Path) -> tuple[str, ...]:
        try:
            inode = self._there(path, follow=True)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        return tuple(sorted(self.now.entries(inode))) if self.inodes[inode].kind is Kind.FOLDER else ()

    def stamp(self, path: Path) -> str:
        _, _, inode = self._find(path)
        return "" if inode is None else str(inode)

    def resolve(self, path: Path) -> Path:
        return path

    def device(self, path: Path) -> int:
        return 1

    def writable(self, path: Path) -> bool:
        return True

    # -- writing --------------------------------------------------------------------------------------------------

    def mkdir(self, path: Path, mode: int = 0o755) -> None:
        self._make(f"mkdir {path}", path, Inode(Kind.FOLDER, mode))

    def open_new(self, path: Path, mode: int) -> int:
        return self._open(self._make(f"create {path}", path, Inode(Kind.FILE, mode)))

    def open_folder(self, path: Path) -> int:
        inode = self._there(path, follow=True)
        if self.inodes[inode].kind is not Kind.FOLDER:
            raise _error(errno.ENOTDIR, path)
        return self._open(inode)

    def write(self, descriptor: int, content: bytes) -> int:
        self._do("write", Wrote(self._descriptors[descriptor], content))
        return len(content)

    def fsync(self, descriptor: int) -> None:
        inode = self._descriptors[descriptor]
        if self.recording:
            self.steps.append(Step(text=f"fsync {inode}", synced=inode, lines=_lines()))

    def syncfs(self, descriptor: int) -> None:
        raise AssertionError("what it promises is not modelled")

    def close(self, descriptor: int) -> None:
        del self._descriptors[descriptor]
        self._locked.pop(descriptor, None)

    def symlink(self, target: str, path: Path) -> None:
        self._make(f"symlink {path}", path, Inode(Kind.LINK, 0o777, target))

    def rename(self, source: Path, target: Path) -> None:
        folder, old, inode = self._find(source)
        other, new, replaced = self._find(target)
        if inode is None:
            raise _error(errno.ENOENT, source)
        if inode == replaced:
            return
        if replaced is not None:
            folders = [self.inodes[number].kind is Kind.FOLDER for number in (inode, replaced)]
            if folders == [True, False]:
                raise _error(errno.ENOTDIR, target)
            if folders == [False, True]:
                raise _error(errno.EISDIR, target)
            if all(folders) and self.now.entries(replaced):
                raise _error(errno.ENOTEMPTY, target)
        if folder == other:
            self._do(f"rename {target}", Named(folder, ((old, None), (new, inode))))
        else:
            self._do(f"rename {target}", Moved(((folder, old, None), (other, new, inode))))

    def unlink(self, path: Path) -> None:
        folder, name, inode = self._find(path)
        if inode is None:
            raise _error(errno.ENOENT, path)
        if self.inodes[inode].kind is Kind.FOLDER:
            raise _error(errno.EISDIR, path)
        self._do(f"unlink {path}", Named(folder, ((name, None),)))

    def rmdir(self, path: Path) -> None:
        folder, name, inode = self._find(path)
        if inode is None:
            raise _error(errno.ENOENT, path)
        if self.inodes[inode].kind is not Kind.FOLDER:
            raise _error(errno.ENOTDIR, path)
        if self.now.entries(inode):
            raise _error(errno.ENOTEMPTY, path)
        self._do(f"rmdir {path}", Named(folder, ((name, None),)))

    def lock(self, path: Path) -> int:
        _, _, inode = self._find(path)
        if inode is None:
            inode = self._make(f"lock {path}", path, Inode(Kind.FILE, 0o600))
        if inode in self._locked.values():
            raise _error(errno.EWOULDBLOCK, path)
        descriptor = self._open(inode)
        self._locked[descriptor] = inode
        return descriptor

    # -- inside ---------------------------------------------------------------------------------------------------

    def _open(self, inode: int) -> int:
        descriptor = max(self._descriptors, default=99) + 1
        self._descriptors[descriptor] = inode
        return descriptor

    def _make(self, text: str, path: Path, inode: Inode) -> int:
        folder, name, there = self._find(path)
        if there is not None:
            raise _error(errno.EEXIST, path)
        number = next(self._numbers)
        self.inodes[number] = inode
        self._do(text, Made(number), Named(folder, ((name, number),)))
        return number

    def _do(self, text: str, *effects: Effect) -> None:
        for effect in effects:
            self.now.add(effect)
        if self.recording:
            self.steps.append(Step(text=text, effects=effects, lines=_lines()))

    def _there(self, path: Path, *, follow: bool = False) -> int:
        _, _, inode = self._find(path, follow=follow)
        if inode is None:
            raise _error(errno.ENOENT, path)
        return inode

    def _find(self, path: Path, *, follow: bool = False) -> tuple[int, str, int | None]:
        """Return the folder and the name that *path* ends in, and what is there; *follow* says if a last link is."""
        rest = list(path.parts[1:])
        folder, name, links = ROOT, "", 0
        while rest:
            name = rest.pop(0)
            inode = self.now.entry(folder, name)
            if inode is None:
                if rest:
                    raise _error(errno.ENOENT, path)
                return folder, name, None
            known = self.inodes[inode]
            if known.kind is Kind.LINK and (rest or follow):
                links += 1
                if links > 40:
                    raise _error(errno.ELOOP, path)
                target = Path(known.target)
                rest = [part for part in target.parts if part != "/"] + rest
                folder = ROOT if target.is_absolute() else folder
            elif not rest:
                return folder, name, inode
            elif known.kind is Kind.FOLDER:
                folder = inode
            else:
                raise _error(errno.ENOTDIR, path)
        return ROOT, "", ROOT


def _error(code: int, path: Path) -> OSError:
    return OSError(code, os.strerror(code), str(path))


def _lines() -> tuple[Line, ...]:
    """Return the lines of apply that the caller was called from."""
    found = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if _APPLY in frame.f_code.co_filename:
            found.append((frame.f_code.co_filename.rpartition(os.sep)[2], frame.f_lineno))
        frame = frame.f_back
    return tuple(found)
