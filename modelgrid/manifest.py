"""The routing manifest: the compiled file that is the gateway's only input, and the keys beside it.

Bump the version numbers when an older gateway could no longer read the file rightly.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from modelgrid.errors import ModelGridError

if TYPE_CHECKING:
    from cattrs import Converter

MANIFEST_VERSION = 3
KEYS_VERSION = 1

#: Name of the file of keys, in a compiled tree and in the runtime folder of the gateway's unit.
KEYS_FILE = "keys.json"


class ManifestError(ModelGridError):
    """The file is no manifest that this gateway can use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A server of a model: IP address and TCP port, plain HTTP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One model as clients see it, and who serves it.

    Attributes:
        model: the name that ``/v1/models`` lists.
        aliases: other names that mean the same model, sorted.
        engine: name of the engine, for ``owned_by`` and logs.
        upstream_model: the engine's own name of it, put into the request on the way.
        apis: paths that may be forwarded, exact: ``/v1/chat/completions``.
        upstreams: none while the route is on hold: its requests wait.
        fallback: models that answer, in this order, while none of the servers can be reached.
        health_path: answers 200 when the server is ready; asking it never loads a model.
    """

    model: str
    aliases: tuple[str, ...]
    engine: str
    upstream_model: str
    apis: tuple[str, ...]
    upstreams: tuple[Upstream, ...]
    health_path: str
    fallback: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All routes, sorted by model, and the gateway's limits.

    Attributes:
        max_body: largest body of a request, in bytes.
        hold_time: how long a request waits for a route that is on hold, in seconds; 0: not at all.
        hold_requests: how many requests of one worker wait at a time.
    """

    manifest_version: int = MANIFEST_VERSION
    max_body: int
    hold_time: float
    hold_requests: int
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A client's key by its SHA-256 (64 hex digits) and the models it may use, as fnmatch patterns."""

    name: str
    sha256: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """All keys, sorted by name. Empty: the gateway asks for none."""

    keys_version: int = KEYS_VERSION
    keys: tuple[Key, ...]


T = TypeVar("T", Manifest, Keys)


def dump(value: Manifest | Keys) -> str:
    """Write *value* as JSON: sorted keys, two spaces, one line end at the end. Same value, same text."""
    return json.dumps(_converter().unstructure(value), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def load_manifest(text: str | bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ManifestError: the text is not JSON, has another version, or lacks or adds a field.
    """
    return _load(text, Manifest, "manifest_version", MANIFEST_VERSION)


def load_keys(text: str | bytes) -> Keys:
    """Read the keys.

    Raises:
        ManifestError: the text is not JSON, has another version, or lacks or adds a field.
    """
    return _load(text, Keys, "keys_version", KEYS_VERSION)


def _load(text: str | bytes, kind: type[T], version_field: str, version: int) -> T:
    try:
        data: Any = json.loads(text)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"not JSON: {error}") from error
    found = data.get(version_field) if isinstance(data, dict) else None
    # cattrs would take "1" for 1 and an unknown version for a missing field: look first
    if type(found) is not int or found != version:
        raise ManifestError(
            f"{version_field} is {found!r}, and this gateway reads {version}",
            hint="compile the configuration again with the ModelGrid that runs the gateway",
        )
    from cattrs import BaseValidationError, transform_error  # noqa: PLC0415  the import costs 50 ms

    try:
        return _converter().structure(data, kind)
    except BaseValidationError as error:
        raise ManifestError("; ".join(transform_error(error))) from error


def _converter() -> Converter:
    from cattrs import Converter  # noqa: PLC0415  the import costs 50 ms

    converter = Converter(forbid_extra_keys=True)

    def strict(value: Any, kind: type) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is not of type {kind.__name__}")
        return value

    def number(value: Any, _: type) -> float:
        # JSON has one kind of number; its dialect of Python has some that are none
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise TypeError(f"{value!r} is no number of seconds")
        return float(value)

    for kind in (str, int):
        converter.register_structure_hook(kind, strict)
    converter.register_structure_hook(float, number)
    return converter
