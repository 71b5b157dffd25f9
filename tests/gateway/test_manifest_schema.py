from __future__ import annotations

import dataclasses
import json
import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.manifest import Manifest, ManifestError, Route, Upstream, dump, load_manifest
from tests.gateway.conftest import manifest, route

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).parents[2] / "scripts" / "manifest_schema.py"
build: Callable[[], dict[str, Any]] = runpy.run_path(str(SCRIPT))["build"]

SAMPLE = manifest(route("a/b:c", 1, 2, aliases=("x",)), route("d", 3))


def violations(value: Any, schema: dict[str, Any], root: dict[str, Any], path: str = "$") -> list[str]:
    """Where *value* breaks *schema*, for the few keywords that the manifest's schema has."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if "const" in schema:
        return [] if value == schema["const"] and type(value) is type(schema["const"]) else [path]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": float}
    if type(value) is not kinds[schema["type"]]:
        return [path]
    if isinstance(value, dict):
        known = schema["properties"]
        found = [path for name in schema["required"] if name not in value]
        found += [path for name in value if name not in known]
        return found + [
            bad
            for name, inner in value.items()
            if name in known
            for bad in violations(inner, known[name], root, f"{path}.{name}")
        ]
    if isinstance(value, list):
        found = [path] if len(value) < schema.get("minItems", 0) else []
        return found + [
            bad
            for number, item in enumerate(value)
            for bad in violations(item, schema["items"], root, f"{path}[{number}]")
        ]
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return [path]
    return []


def test_every_field_of_the_types_is_in_it_and_required() -> None:
    schema = build()
    for kind, part in ((Manifest, schema), (Route, schema["$defs"]["Route"]), (Upstream, schema["$defs"]["Upstream"])):
        names = sorted(field.name for field in dataclasses.fields(kind))
        assert sorted(part["properties"]) == sorted(part["required"]) == names


def test_it_uses_no_keyword_that_these_tests_do_not_check() -> None:
    keywords = set(re.findall(r'"([$\w]+)":', json.dumps(build()))) - {
        field.name for kind in (Manifest, Route, Upstream) for field in dataclasses.fields(kind)
    }
    told = {"$schema", "title", "description", "$defs", "Route", "Upstream", "properties", "default"}
    checked = {"$ref", "type", "items", "required", "additionalProperties", "const", "minItems", "minimum", "maximum"}
    assert keywords <= told | checked


def test_a_dumped_manifest_follows_it() -> None:
    schema = build()

    assert violations(json.loads(dump(SAMPLE)), schema, schema) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"manifest_version": 1}, "$.manifest_version"),
        ({"manifest_version": True}, "$.manifest_version"),
        ({"max_body": "1"}, "$.max_body"),
        ({"hold_time": "5m"}, "$.hold_time"),
        ({"hold_time": -1.0}, "$.hold_time"),
        ({"hold_requests": 0.5}, "$.hold_requests"),
        ({"more": 1}, "$"),
        ({"routes": [{}]}, "$.routes[0]"),
        ({"routes": None}, "$.routes"),
    ],
)
def test_it_and_the_loader_refuse_the_same(change: dict[str, Any], path: str) -> None:
    data = json.loads(dump(SAMPLE)) | change
    schema = build()

    assert path in violations(data, schema, schema)
    with pytest.raises(ManifestError):
        load_manifest(json.dumps(data))
