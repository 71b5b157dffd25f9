"""What the servers of a compiled tree take of the host's GPUs, as a file beside the routing manifest.

``emit`` writes it and ``apply`` reads it: what both trees say together is what a change may hold at one time. Nothing
that runs reads it, so a change of it alone touches no unit. Bump the version when an older ``apply`` could no longer
read the file rightly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelgrid.errors import ModelGridError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name of the file in a compiled tree.
PLACEMENT = "placement.json"

PLACEMENT_VERSION = 1


class PlacementRecordError(ModelGridError):
    """The file is no record of a placement that this version can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedGpu:
    """A GPU of the target. *memory* and *reserve*, which no model may have, are in bytes."""

    uuid: str
    index: int
    name: str
    memory: int
    reserve: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedServer:
    """What one server unit takes.

    Attributes:
        unit: ``modelgrid-model-x.service``.
        models: the models that it serves, sorted.
        claims: by UUID of a GPU the bytes that it takes there, 0 where that is not known.
        on_demand: whether it does not start with the grid.
        turns_with: units that its start stops, sorted.
    """

    unit: str
    models: tuple[str, ...]
    claims: Mapping[str, int]
    on_demand: bool = False
    turns_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRecord:
    """All of it: the GPUs by index, the servers by unit."""

    gpus: tuple[RecordedGpu, ...] = ()
    servers: tuple[RecordedServer, ...] = ()


def dump_placement(record: PlacementRecord) -> str:
    """Write *record* as JSON: sorted keys, two spaces, one line end at the end. Same value, same text."""
    value = {
        "placement_version": PLACEMENT_VERSION,
        "gpus": [
            {
                "uuid": gpu.uuid,
                "index": gpu.index,
                "name": gpu.name,
                "memory": gpu.memory,
                "reserve": gpu.reserve,
            }
            for gpu in record.gpus
        ],
        "servers": [
            {
                "unit": server.unit,
                "models": list(server.models),
                "claims": dict(server.claims),
                "on_demand": server.on_demand,
                "turns_with": list(server.turns_with),
            }
            for server in record.servers
        ],
    }
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def load_placement(text: str) -> PlacementRecord:
    """Read a record.

    Raises:
        PlacementRecordError: the text is not JSON, has another version, or lacks or adds a field.
    """
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlacementRecordError(f"not JSON: {error}") from error
    found = data.get("placement_version") if isinstance(data, dict) else None
    if type(found) is not int or found != PLACEMENT_VERSION:
        raise PlacementRecordError(f"placement_version is {found!r}, and {PLACEMENT_VERSION} is what can be read")
    fields = _fields(data, "the file", {"placement_version": int, "gpus": list, "servers": list})
    return PlacementRecord(
        gpus=tuple(_gpu(item, f"gpus[{number}]") for number, item in enumerate(fields["gpus"])),
        servers=tuple(_server(item, f"servers[{number}]") for number, item in enumerate(fields["servers"])),
    )


def _gpu(value: object, where: str) -> RecordedGpu:
    kinds = {"uuid": str, "index": int, "name": str, "memory": int, "reserve": int}
    return RecordedGpu(**_fields(value, where, kinds))


def _server(value: object, where: str) -> RecordedServer:
    kinds = {"unit": str, "models": list, "claims": dict, "on_demand": bool, "turns_with": list}
    fields = _fields(value, where, kinds)
    return RecordedServer(
        unit=fields["unit"],
        models=_each(fields["models"], str, f"{where}.models"),
        claims=dict(zip(fields["claims"], _each(fields["claims"].values(), int, f"{where}.claims"), strict=True)),
        on_demand=fields["on_demand"],
        turns_with=_each(fields["turns_with"], str, f"{where}.turns_with"),
    )


def _fields(value: object, where: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return the fields of *value*, which must be those of *kinds* and no other."""
    if not isinstance(value, dict):
        raise PlacementRecordError(f"{where} is not an object")
    if different := sorted(value.keys() ^ kinds.keys()):
        raise PlacementRecordError(f"{where} lacks or adds {', '.join(different)}")
    for name, kind in kinds.items():
        # a bool is an int for Python, and not for JSON
        if type(value[name]) is not kind:
            raise PlacementRecordError(f"{where}.{name} is not of type {kind.__name__}")
    return value


def _each(values: Any, kind: type, where: str) -> tuple[Any, ...]:
    found = tuple(values)
    if any(type(value) is not kind for value in found):
        raise PlacementRecordError(f"{where} has a value that is not of type {kind.__name__}")
    return found
