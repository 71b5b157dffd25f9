"""Where the artifacts of the system's units lie on a host that no ``apply`` looks after."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelgrid.emit.artifact import QUADLETS, UNITS
from modelgrid.emit.names import DRIFT, DRIFT_TIMER
from modelgrid.emit.routing import KEYS
from modelgrid.emit.unitfile import parse_unit
from modelgrid.errors import InternalError
from modelgrid.forms.output import OutputFile, of_artifact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelgrid.emit.artifact import Artifact

#: Folders on a host, without the slash in front. They are those of apply, and the units name the last.
QUADLET_FOLDER = "etc/containers/systemd/modelgrid"
UNIT_FOLDER = "etc/systemd/system"
DATA_FOLDER = "etc/modelgrid/current"

_OTHERS = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A compiled tree, taken apart. Paths are file names.

    Attributes:
        quadlets: read by podman's generator.
        units: read by systemd.
        data: read by the gateway and by ModelGrid itself: manifest, keys, placement, settings.
    """

    quadlets: tuple[Artifact, ...]
    units: tuple[Artifact, ...]
    data: tuple[Artifact, ...]

    @property
    def secret(self) -> bool:
        """Whether something in it is for its owner's eyes only."""
        return any(is_secret(item) for item in self.data)


def take_apart(artifacts: Iterable[Artifact]) -> Parts:
    """Sort *artifacts* by who reads them. What looks for drift is left out: it looks at what apply keeps on a host.

    Raises:
        InternalError: nobody is known to read one of them.
    """
    parts: dict[str, list[Artifact]] = {QUADLETS: [], UNITS: [], "": []}
    for artifact in sorted(artifacts):
        folder, _, name = artifact.path.rpartition("/")
        if name in {DRIFT, DRIFT_TIMER}:
            continue
        if folder not in parts:
            raise InternalError(f"no form says where {artifact.path} lies on a host")
        parts[folder].append(replace(artifact, path=name))
    return Parts(quadlets=tuple(parts[QUADLETS]), units=tuple(parts[UNITS]), data=tuple(parts[""]))


def wanted_by(unit: Artifact) -> tuple[str, ...]:
    """Return the units that ``[Install]`` of *unit* wants it to be started by, sorted."""
    values = parse_unit(unit.content).get(("Install", "WantedBy"), ())
    return tuple(sorted({word for value in values for word in value.split()}))


def is_secret(artifact: Artifact) -> bool:
    """Say whether *artifact* must not be where others can read it; a list of no keys may be."""
    if artifact.mode & _OTHERS:
        return False
    return artifact.path != KEYS or bool(json.loads(artifact.content)["keys"])


def left_out(parts: Parts) -> tuple[tuple[OutputFile, ...], tuple[str, ...]]:
    """Return what goes beside a form that others can read, and the sentences that say what to do with it."""
    secrets = [item for item in parts.data if is_secret(item)]
    notes = (
        f"{item.path} is not part of it, for others may read that: put it on the host as /{DATA_FOLDER}/{item.path},"
        " mode 0600, owner root"
        for item in secrets
    )
    return tuple(map(of_artifact, secrets)), tuple(notes)
