"""The JSON schema of the manifest, made from its types. `scripts/schema` writes the file."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

from modelgrid.manifest import MANIFEST_VERSION, Manifest, Route, Upstream


def build() -> dict[str, Any]:
    """The schema (draft 2020-12): what ``load_manifest`` takes, and what the gateway asks of it beyond that."""
    [reference], parts = msgspec.json.schema_components([Manifest], ref_template="#/$defs/{name}")
    definitions: dict[str, Any] = dict(parts)
    for kind in (Manifest, Route, Upstream):
        definition = definitions[kind.__name__]
        text = inspect.getdoc(kind) or ""
        definition["description"] = _plain(text.partition("\n\n")[0])
        definition["additionalProperties"] = False
        for name, described in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE):
            definition["properties"][name]["description"] = _plain(described)
    top = definitions.pop("Manifest")
    assert reference == {"$ref": "#/$defs/Manifest"}
    top["properties"]["manifest_version"] = {"const": MANIFEST_VERSION}
    for name in ("max_body", "hold_time", "hold_requests"):
        top["properties"][name]["minimum"] = 0
    top["required"].append("manifest_version")
    definitions["Upstream"]["properties"]["port"] |= {"minimum": 1, "maximum": 65535}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **top,
        "title": "ModelGrid routing manifest",
        "$defs": definitions,
    }


def _plain(described: str) -> str:
    return " ".join(described.split()).replace("``", "`")
