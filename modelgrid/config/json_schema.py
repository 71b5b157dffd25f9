"""The schema of ``modelgrid.yaml`` for editors, in JSON Schema 2020-12, made from the pydantic models."""

from __future__ import annotations

from typing import Any, Final

from modelgrid.config.descriptions import descriptions
from modelgrid.config.schema import Config

#: Keys of the user's own, which ``load`` leaves out of every section with fixed keys.
_OWN_KEYS: Final = {"^x-": True}


def json_schema() -> dict[str, Any]:
    """Return the schema: every key with its description, and nothing that only pydantic has a use for."""
    made = Config.model_json_schema()
    sections = made.pop("$defs")
    top = {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "modelgrid.yaml"}
    _describe(top, Config.__name__)
    for name, section in sections.items():
        _describe(section, name)
    return {**top, "$defs": sections}


def _describe(section: dict[str, Any], name: str) -> None:
    if "title" in section and section["title"] == name:
        del section["title"]
    if section.get("additionalProperties") is False:
        section["patternProperties"] = _OWN_KEYS
    for key, value in section.get("properties", {}).items():
        value.pop("title", None)
        if value.get("default", ...) is None:
            del value["default"]  # the same as leaving the key out
        if "patternProperties" in value:
            value["additionalProperties"] = False  # names of the user's, but none that breaks the pattern
        text = descriptions().get((name, key))
        if text is not None:
            value["description"] = text
