"""Files of the host: one seam of single system calls, and the crash-safe ways to write that are made of them.

Everything that ``apply`` does to files passes :class:`FileSystem`, one method per system call, so that a test can stop,
fail or record each of them. The functions below it put the calls in the order that survives a power cut:
content is on the disk before its name, and a name is on the disk before the next step counts on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kind(Enum):
    """What a name is, without following it."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


class FileSystem:
    """The system calls on files, below *root* (the host's own ``/`` but in tests).

    Paths are absolute, as the host will see them. What a link says is not changed by *root*.
    Every method raises OSError as the call does, unless it says otherwise.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._rooted = root != Path("/")

    def real(self, path: Path) -> Path:
        """Return where *path* lies for this process."""
        return Path(f"{self._root}{path}") if self._rooted else path

    # -- reading --------------------------------------------------------------------------------------------------

    def kind(self, path: Path) -> Kind | None:
        """Return what *path* is; none where there is nothing by that name."""
        try:
            mode = self.real(path).lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISLNK(mode):
            return Kind.LINK
        if stat.S_ISDIR(mode):
            return Kind.FOLDER
        return Kind.FILE if stat.S_ISREG(mode) else Kind.OTHER

    def permissions(self, path: Path) -> int:
        """Return the permission bits of *path*."""
        return stat.S_IMODE(self.real(path).lstat().st_mode)

    def read(self, path: Path) -> bytes:
        """Return the content of file *path*."""
        return self.real(path).read_bytes()

    def readlink(self, path: Path) -> str | None:
        """Return what link *path* points to; none where it is no link or is missing."""
        try:
            # not Path.readlink: it would tidy the text, which is compared
            return os.readlink(self.real(path))  # noqa: PTH115
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTDIR):
                return None
            raise

    def listdir(self, path: Path) -> tuple[str, ...]:
        """Return the names in folder *path*, sorted; none where it is missing."""
        try:
            return tuple(sorted(entry.name for entry in self.real(path).iterdir()))
        except (FileNotFoundError, NotADirectoryError):
            return ()

    def stamp(self, path: Path) -> str:
        """Return what tells *path* from another file that takes its name later; empty where there is none."""
        try:
            found = self.real(path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return f"{found.st_ino}-{found.st_ctime_ns}"

    def resolve(self, path: Path) -> Path:
        """Return *path* with every link in it followed."""
        real = self.real(path).resolve()
        root = self._root.resolve()
        return "/" / real.relative_to(root) if real.is_relative_to(root) else real

    def identity(self, path: Path) -> os.stat_result | None:
        """Return what stat(2) says of *path*, links followed; none where there is nothing that can be looked at."""
        try:
            return self.real(path).stat()
        except OSError:
            return None

    def free(self, path: Path) -> int:
        """Return the bytes that a user who is not root may still write to the file system of *path* (statvfs(3))."""
        found = os.statvfs(self.real(path))
        return found.f_bavail * found.f_frsize

    def readable(self, path: Path) -> bool:
        """Say whether *path* may be read (access(2))."""
        return os.access(self.real(path), os.R_OK)

    def device(self, path: Path) -> int:
        """Return which file system *path* itself is on: rename(2) moves nothing to another."""
        return self.real(path).lstat().st_dev

    def writable(self, path: Path) -> bool:
        """Say whether *path* may be written to: rights, and a file system that is not read-only (access(2))."""
        return os.access(self.real(path), os.W_OK)

    # -- writing --------------------------------------------------------------------------------------------------

    def mkdir(self, path: Path, mode: int = 0o755) -> None:
        """Make folder *path*, whose parent exists. The caller's umask has no say."""
        # not by chmod(2) afterwards: a process killed between the two would leave the umask's mode for good
        before = os.umask(0)
        try:
            self.real(path).mkdir(mode)
        finally:
            os.umask(before)

    def open_new(self, path: Path, mode: int) -> int:
        """Make file *path* and return its descriptor, open for writing. Neither a file nor a link may be there."""
        descriptor = os.open(
            self.real(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            os.fchmod(descriptor, mode)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def open_folder(self, path: Path) -> int:
        """Return a descriptor of folder *path*, to sync it by."""
        return os.open(self.real(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def write(self, descriptor: int, content: bytes) -> int:
        """Write what fits of *content* and return how many bytes that were (write(2))."""
        return os.write(descriptor, content)

    def fsync(self, descriptor: int) -> None:
        """Wait until what *descriptor* refers to is on the disk."""
        os.fsync(descriptor)

    def syncfs(self, descriptor: int) -> None:
        """Wait until all that was written to the file system of *descriptor* is on the disk (syncfs(2))."""
        import ctypes  # noqa: PLC0415  slow, and rarely needed

        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def close(self, descriptor: int) -> None:
        """Close *descriptor*."""
        os.close(descriptor)

    def symlink(self, target: str, path: Path) -> None:
        """Make link *path* to *target*."""
        self.real(path).symlink_to(target)

    def rename(self, source: Path, target: Path) -> None:
        """Rename *source* to *target*, in one step; a file, a link or an empty folder there is replaced."""
        self.real(source).rename(self.real(target))

    def unlink(self, path: Path) -> None:
        """Remove file or link *path*."""
        self.real(path).unlink()

    def rmdir(self, path: Path) -> None:
        """Remove empty folder *path*."""
        self.real(path).rmdir()

    def lock(self, path: Path) -> int:
        """Lock file *path*, made when it is missing, and return the descriptor that holds the lock until it is closed.

        Raises:
            BlockingIOError: another process holds it.
        """
        import fcntl  # noqa: PLC0415  POSIX only, and only for this

        real = self.real(path)
        while True:
            descriptor = os.open(real, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # the holder before us may have removed the file: then this lock keeps nobody out
                if _same_file(descriptor, real):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), found)


def write_new(files: FileSystem, path: Path, content: bytes, mode: int) -> None:
    """Write file *path*, which must not exist, and wait until its content is on the disk. Its name may not be yet.

    A descriptor whose write, sync or close failed is never used again: Linux marks the pages of a failed
    fsync(2) as clean, so a second one would report success for lost data.
    """
    descriptor = files.open_new(path, mode)
    with _naming(path):
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[files.write(descriptor, bytes(rest)) :]
            files.fsync(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                files.close(descriptor)
            raise
        files.close(descriptor)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have what the kernel says of a descriptor name its *path*."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def sync_folder(files: FileSystem, path: Path) -> None:
    """Wait until the names in folder *path* are on the disk."""
    descriptor = files.open_folder(path)
    try:
        files.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            files.close(descriptor)
        raise
    files.close(descriptor)


def sync_file_system(files: FileSystem, path: Path) -> None:
    """Wait until all that was written to the file system of folder *path* is on the disk, by whomever."""
    descriptor = files.open_folder(path)
    try:
        files.syncfs(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            files.close(descriptor)
        raise
    files.close(descriptor)


def file_system_type(files: FileSystem, path: Path) -> str:
    """Return the type of the file system that *path* is on, from /proc/self/mountinfo (proc(5)); empty if unknown."""
    try:
        text = files.read(Path("/proc/self/mountinfo")).decode(errors="replace")
    except OSError:
        return ""
    best, kind = Path(), ""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        _, _, _, _, mounted, *_ = [*before.split(" "), "", "", "", "", ""]
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), mounted))
        # of two mounts on one point, the later line is the one that is seen
        if mounted and path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, after.split(" ")[0]
    return kind


def replace_file(files: FileSystem, path: Path, content: bytes, mode: int) -> None:
    """Give file *path* a new content in one step: after a crash it has the old or the new one, whole."""
    spare = _spare(files, path)
    write_new(files, spare, content, mode)
    files.rename(spare, path)
    sync_folder(files, path.parent)


def replace_link(files: FileSystem, path: Path, target: str) -> None:
    """Point link *path* to *target* in one step: after a crash it is the old or the new, never missing."""
    spare = _spare(files, path)
    files.symlink(target, spare)
    sync_folder(files, path.parent)
    files.rename(spare, path)
    sync_folder(files, path.parent)


def remove_name(files: FileSystem, path: Path) -> None:
    """Remove file or link *path*, if it is there, and wait until that is on the disk."""
    if files.kind(path) is not None:
        files.unlink(path)
        sync_folder(files, path.parent)


def make_folder(files: FileSystem, path: Path, mode: int = 0o755) -> None:
    """Make folder *path* and its missing parents, each on the disk before the next. What is there stays as it is."""
    if files.kind(path) in (Kind.FOLDER, Kind.LINK):
        return
    make_folder(files, path.parent)
    files.mkdir(path, mode)
    sync_folder(files, path.parent)


def remove_tree(files: FileSystem, path: Path) -> None:
    """Remove folder *path* with all that is in it, following no link."""
    for name in files.listdir(path):
        entry = path / name
        if files.kind(entry) is Kind.FOLDER:
            remove_tree(files, entry)
        else:
            files.unlink(entry)
    files.rmdir(path)


def walk(files: FileSystem, path: Path, below: str = "") -> Iterator[str]:
    """Yield every file and link in folder *path* by its path below it, with ``/``, sorted by folder."""
    for name in files.listdir(path):
        inner = f"{below}{name}"
        if files.kind(path / name) is Kind.FOLDER:
            yield from walk(files, path / name, f"{inner}/")
        else:
            yield inner


@contextlib.contextmanager
def locked(files: FileSystem, path: Path) -> Iterator[None]:
    """Hold the lock *path*, for the one process that changes this host.

    Raises:
        HostError: another process holds it; known at once, never waited for.
    """
    try:
        descriptor = files.lock(path)
    except BlockingIOError as error:
        raise HostError(
            "another modelgrid is changing this host right now", hint="wait until it has ended, then try again"
        ) from error
    try:
        yield
    finally:
        files.close(descriptor)


def spare_name(path: Path) -> Path:
    """Return the name that the successor of *path* has until it takes its place."""
    return path.with_name(f".{path.name}.new")


def _spare(files: FileSystem, path: Path) -> Path:
    """Return the name beside *path* that its successor is written under, free of what a killed process left there."""
    spare = spare_name(path)
    if files.kind(spare) is not None:
        files.unlink(spare)
    return spare
