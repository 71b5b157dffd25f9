"""Brings the bytes of a greenlist: from its file, from the cache, or from its URL. Its hash is checked first of all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelgrid.errors import ConfigError, HostError
from modelgrid.greenlist.fetch import MAX_SIZE, fetch, url_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelgrid.config.schema import Greenlist

#: What may happen to a list, by the code that says so.
_UNREADABLE: Final = "MG3030"
_OTHER: Final = "MG3031"
_REFUSED: Final = "MG3032"

_SYSTEM_CACHE: Final = Path("/var/cache/modelgrid/greenlist")


class UnreadableError(ConfigError):
    """There is no list to go by. *code* says why, *field* of the section is at fault."""

    def __init__(self, code: str, message: str, *, field: str, hint: str | None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.field = field


def is_url(source: str) -> bool:
    """Say whether *source* has a scheme; all else is a path."""
    return "://" in source


def default_cache(environment: Mapping[str, str] | None = None, *, system: str = sys.platform) -> Path | None:
    """Return the folder for fetched greenlists, which need not exist; none where there is no place for one.

    It is ``modelgrid/greenlist`` below ``$XDG_CACHE_HOME`` (XDG Base Directory Specification) where that is an
    absolute path; else ``/var/cache/modelgrid/greenlist`` for root, whose home folder may be that of the one who
    called sudo; else below ``~/.cache``, ``~/Library/Caches`` on macOS or ``%LOCALAPPDATA%`` on Windows.
    """
    variables = os.environ if environment is None else environment
    caches = variables.get("LOCALAPPDATA" if system == "win32" else "XDG_CACHE_HOME", "")
    if Path(caches).is_absolute():
        return Path(caches, "modelgrid", "greenlist")
    if system != "win32" and os.geteuid() == 0:
        return _SYSTEM_CACHE
    try:
        home = Path(variables["HOME"]) if variables.get("HOME") else Path.home()
    except RuntimeError:
        return None
    below = {"darwin": "Library/Caches", "win32": "AppData/Local"}.get(system, ".cache")
    return home / below / "modelgrid" / "greenlist"


def read_list(section: Greenlist, *, base: Path, cache: Path | None, get: Callable[[str], bytes] = fetch) -> bytes:
    """Return the greenlist that *section* names, as it was pinned.

    A list of a URL is taken from *cache* where that has it with its hash, without the network; else it is fetched
    and kept there. A cache that cannot be written is none.

    Args:
        section: source and hash.
        base: folder that a relative path starts from.
        cache: folder of lists by hash; none: nothing is kept.
        get: fetches a URL.

    Raises:
        UnreadableError: the list is not there, not the pinned one, or may not be fetched.
    """
    if not is_url(section.source):
        data = _read_file(section.source, base)
        if section.sha256 is not None:
            _compare(data, section.sha256, section.source)
        return data
    if fault := url_fault(section.source):
        raise UnreadableError(
            _REFUSED,
            f"{section.source} is not fetched: {fault}",
            field="source",
            hint="name a file, an https:// URL, or http:// on 127.0.0.1",
        )
    if section.sha256 is None:
        raise UnreadableError(
            _REFUSED,
            f"{section.source} is not pinned: what it answers could change at any time",
            field="source",
            hint=f"read the list, and add `sha256` as `curl -fsS {section.source} | sha256sum` prints it",
        )
    kept = cache / f"{section.sha256}.json" if cache is not None else None
    known = _kept(kept, section.sha256)
    if known is not None:
        return known
    try:
        data = get(section.source)
    except HostError as error:
        raise UnreadableError(_UNREADABLE, error.message, field="source", hint=error.hint) from error
    _compare(data, section.sha256, section.source)
    if kept is not None:
        _keep(data, kept)
    return data


def _read_file(source: str, base: Path) -> bytes:
    hint = "correct the path, which starts at the configuration"
    if source.startswith("~"):
        message = f"the path {source} starts with ~, which only a shell expands"
        raise UnreadableError(_UNREADABLE, message, field="source", hint="write the whole path")
    try:
        # not opened before it is known to be a file: a pipe would be waited for
        if not stat.S_ISREG((base / source).stat().st_mode):
            raise UnreadableError(_UNREADABLE, f"{source} is not a file", field="source", hint=hint)
        with (base / source).open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UnreadableError(_UNREADABLE, f"cannot read {source}: {why}", field="source", hint=hint) from error
    if len(data) > MAX_SIZE:
        message = f"{source} is larger than {MAX_SIZE // 1024**2} MiB"
        raise UnreadableError(_UNREADABLE, message, field="source", hint="a greenlist is a short list")
    return data


def _compare(data: bytes, wanted: str, source: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise UnreadableError(
            _OTHER,
            f"{source} is not the list that was pinned: its SHA-256 is {found}, not {wanted}",
            field="sha256",
            hint="read what changed in it; if that is right, pin the new hash",
        )


def _kept(file: Path | None, wanted: str) -> bytes | None:
    """Return what the cache has in *file*; none where that is not there or, changed by somebody, not what it was."""
    if file is None:
        return None
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_SIZE + 1)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == wanted else None


def _keep(data: bytes, file: Path) -> None:
    """Put *data* into the cache, whole or not at all; where that cannot be, the next run fetches again."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".fetching-")
        try:
            with os.fdopen(handle, "wb") as opened:
                opened.write(data)
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
