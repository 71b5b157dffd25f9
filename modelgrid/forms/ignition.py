"""Ignition's configuration, which Fedora CoreOS and Flatcar read at their first boot.

It is of version 3.3.0 (coreos.github.io/ignition/configuration-v3_3): Ignition 2.14 and every later one reads that.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from modelgrid.forms import places
from modelgrid.forms.output import Output, OutputFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelgrid.emit.artifact import Artifact

VERSION = "3.3.0"


def convert(artifacts: Iterable[Artifact]) -> Output:
    """Return the configuration. It holds the keys, and then it is as private as they are.

    Raises:
        InternalError: an artifact is of a kind that no form places.
    """
    parts = places.take_apart(artifacts)
    config = {
        "ignition": {"version": VERSION},
        "storage": {"files": [_file(path, item) for path, item in stored(parts)]},
        "systemd": {"units": [_unit(unit) for unit in parts.units]},
    }
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    mode = 0o600 if parts.secret else 0o644
    return Output(files=(OutputFile(path="modelgrid.ign", content=text.encode(), mode=mode),))


def stored(parts: places.Parts) -> Iterator[tuple[str, Artifact]]:
    """Return what is a file to Ignition, with its path on the host; plain units are units to it."""
    for item in parts.quadlets:
        yield f"/{places.QUADLET_FOLDER}/{item.path}", item
    for item in parts.data:
        yield f"/{places.DATA_FOLDER}/{item.path}", item


def _file(path: str, item: Artifact) -> dict[str, Any]:
    source = f"data:;base64,{base64.b64encode(item.content.encode()).decode()}"
    return {"path": path, "mode": item.mode, "contents": {"source": source}}


def _unit(unit: Artifact) -> dict[str, Any]:
    # Ignition enables by a preset, which says nothing to a unit without [Install]
    enabled = {"enabled": True} if places.wanted_by(unit) else {}
    return {"name": unit.path, "contents": unit.content, **enabled}
