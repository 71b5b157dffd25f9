"""The lock file on the disk: where it is, and how it is replaced in one step."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.errors import ConfigError, HostError
from modelgrid.lock.text import read_lock

if TYPE_CHECKING:
    from modelgrid.lock.values import Lock


def lock_path(configuration: str) -> Path | None:
    """Return where the lock file of the *configuration* lies, beside it; none for stdin (``-``) or a folder."""
    path = Path(configuration)
    return None if configuration == "-" or not path.name else path.with_suffix(".lock")


def load_lock(path: Path) -> Lock | None:
    """Read the lock file at *path*; none where there is none.

    Raises:
        ConfigError: it cannot be read, or is damaged.
    """
    text = read_text(path)
    return None if text is None else read_lock(text, file=str(path))


def read_text(path: Path) -> str | None:
    """Return the text of the lock file at *path*; none where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"cannot read the lock file {path}: {said}") from error


def save_text(path: Path, text: str) -> None:
    """Give the lock file at *path* the content *text* in one step: after a crash it has the old or the new, whole.

    Raises:
        HostError: it cannot be written; what was there is as it was.
    """
    target = path.resolve()
    spare: Path | None = None
    try:
        # the mode of the file that is there, else what the user's umask leaves: mkstemp gives 0600
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        spare = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        spare.chmod(mode)
        spare.replace(target)
        spare = None
        _sync_folder(target.parent)
    except OSError as error:
        raise HostError(f"cannot write the lock file {path}: {error.strerror or error}") from error
    finally:
        if spare is not None:
            with contextlib.suppress(OSError):
                spare.unlink()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows has no descriptor of a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
