"""``plan -o FILE`` and ``apply FILE``: plans in files."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.planning.plan_file import load_saved
from modelgrid.emit.artifact import SUMS
from modelgrid.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelgrid.apply.planning.plan_file import SavedPlan
    from modelgrid.host.facts import HostFacts


def read_plan(file: str) -> SavedPlan | None:
    """Return the plan in *file*; none where that is something else, or not there.

    Raises:
        ConfigError: it is a plan of another version, or was altered.
    """
    if file == "-":
        return None
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        # reading it as a configuration will say what is wrong with it
        return None
    return load_saved(text)


def check_output(file: str) -> None:
    """See that *file* may be written to.

    Raises:
        UsageError: something else than a plan is there.
    """
    path = Path(file)
    try:
        is_free = not path.exists() or (path.is_file() and read_plan(file) is not None)
    except ConfigError:
        is_free = True  # a plan, of another version
    if not is_free:
        raise UsageError(f"{file} is there, and is no plan", hint="name another file, or remove it")


def write_plan(file: str, text: str) -> None:
    """Write *text* to *file*, in one step, for its owner alone: a tree names files and secrets of the host."""
    path = Path(file)
    # made with mode 0600
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def inputs_of(file: str) -> list[str]:
    """Return the absolute paths of what a plan is made from: the configuration and its lock file, or a tree's list."""
    path = Path(file).resolve()
    if file == "-":
        return []
    return [str(path / SUMS)] if path.is_dir() else [str(path), str(path.with_suffix(".lock"))]


def digests(paths: Iterable[str]) -> Mapping[str, str]:
    """Return the SHA-256 of each file, empty for one that is not there."""
    return {path: _digest(Path(path)) for path in paths}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def facts_of(facts: HostFacts) -> Mapping[str, str]:
    """Return what a compiled tree depends on of a host, by the words that messages have for it."""

    def dotted(version: tuple[int, ...] | None) -> str:
        return ".".join(map(str, version or ()))

    gpus = ", ".join(f"{gpu.index} {gpu.name} {gpu.uuid} {gpu.memory}" for gpu in facts.gpus)
    return {
        "podman": dotted(facts.podman),
        "systemd": str(facts.systemd or ""),
        "the distribution": f"{facts.distribution} {facts.distribution_version}".strip(),
        "the processor": facts.arch,
        "the interpreter": facts.python,
        "the set of GPUs": gpus,
    }
