"""The refusal of a target that lacks a key which is emitted.

The tables are :mod:`modelgrid.emit.podman_keys` and :mod:`modelgrid.emit.systemd_keys`; what an older podman has
another spelling for is written in it by :mod:`modelgrid.emit.downgrade`, before it is checked here.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.diagnostics import Report
from modelgrid.emit import podman_keys, systemd_keys
from modelgrid.emit.faults import too_old
from modelgrid.emit.podman_keys import PODMAN, has_quadlet
from modelgrid.emit.systemd_keys import SYSTEMD
from modelgrid.emit.unitfile import parse_unit
from modelgrid.errors import ConfigError, InternalError

if TYPE_CHECKING:
    from modelgrid.emit.artifact import Artifact
    from modelgrid.emit.unitfile import Key

__all__ = ["check_support", "has_quadlet", "podman_since", "refusal", "systemd_since"]


def check_support(artifact: Artifact, *, podman: tuple[int, ...], systemd: int) -> None:
    """See that every key of the unit *artifact* exists on the target. Versions of nothing (``()``, 0) are not known.

    Raises:
        ConfigError: the target is too old for a key, or for quadlets of this kind; the message names it.
        InternalError: the tables lack a key that is emitted.
    """
    suffix = PurePosixPath(artifact.path).suffix
    kind = podman_keys.KINDS.get(suffix)
    if kind is not None and podman and podman[:2] < kind:
        raise refusal(artifact, ("", suffix), suffix, since=_podman(kind), found=_dotted(podman))
    for (section, key), values in parse_unit(artifact.content).items():
        if section.startswith("X-"):
            continue
        if section in SYSTEMD and key in SYSTEMD[section]:
            needed = max(systemd_since(section, key, value) for value in values)
            if systemd and systemd < needed:
                raise refusal(artifact, (section, key), f"{key}=", since=f"systemd {needed}", found=str(systemd))
        elif section in PODMAN and key in PODMAN[section]:
            first = max(podman_since(section, key, value) for value in values)
            if podman and podman[:2] < first:
                raise refusal(artifact, (section, key), f"{key}=", since=_podman(first), found=_dotted(podman))
        else:
            raise InternalError(f"{artifact.path}: no table says which version brought {key}= in [{section}]")


def podman_since(section: str, key: str, value: str) -> podman_keys.Version:
    """Return the first podman that takes *value* for *key*, which is in the table."""
    return max(PODMAN[section][key].since, podman_keys.VALUES.get((section, key, value), podman_keys.FIRST))


def systemd_since(section: str, key: str, value: str) -> int:
    """Return the first systemd that takes *value* for *key*, which is in the table."""
    return max(SYSTEMD[section][key].since, systemd_keys.VALUES.get((section, key, value), 0))


def refusal(artifact: Artifact, key: Key, what: str, *, since: str, found: str) -> ConfigError:
    """Return the refusal of a target that has *found* where *what*, by *key* of *artifact*, came with *since*."""
    message = f"{artifact.path} needs {what}, which came with {since}, and the target has {found}"
    hint = f"upgrade the target to {since} or later"
    return ConfigError(message, hint=hint, report=Report((too_old(artifact, key, message, hint),)))


def _podman(version: podman_keys.Version) -> str:
    return f"podman {_dotted(version)}"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
