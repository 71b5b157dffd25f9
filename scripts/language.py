"""docs/language.md: every section and field of `modelgrid.yaml`. `scripts/schema` writes the file."""

from __future__ import annotations

from typing import Any

from language_examples import EXAMPLES, INTRODUCTION

from modelgrid.config.json_schema import json_schema

#: Sections in the order of the document: title, and the class of the schema.
SECTIONS = (
    ("The file", "Config"),
    ("target", "Target"),
    ("gateway", "Gateway"),
    ("gateway.keys", "Key"),
    ("greenlist", "Greenlist"),
    ("network", "Network"),
    ("placement", "Placement"),
    ("monitor", "Monitor"),
    ("secrets", "Secret"),
    ("models", "Model"),
    ("servers", "Server"),
    ("How a server runs", "Serving"),
    ("volumes", "MountedVolume"),
    ("resources", "Resources"),
    ("selinux", "Selinux"),
    ("engines", "Engine"),
    ("engines: options and vendors", "Words"),
    ("engines: tasks", "TaskWords"),
    ("engines: shared", "SharedServer"),
    ("engines: volumes", "EngineVolume"),
    ("engines: health", "Health"),
)
_TITLES = {name: title for title, name in SECTIONS}

#: What the fields that Model and Server have in common are.
_SERVING = (
    "A model with an `engine` of its own has these fields; so has an entry of `servers`, for all the models on it."
)


def build() -> str:
    """Return the text of docs/language.md."""
    made = json_schema()
    definitions = {**made.pop("$defs"), "Config": made}
    definitions |= _split(definitions)
    lines = [
        "# The language",
        "",
        "<!-- Written by scripts/schema from modelgrid/config/schema.py; do not edit. -->",
        "",
    ]
    lines += [INTRODUCTION.strip()]
    for title, name in SECTIONS:
        section = definitions[name]
        lines += ["", f"## {title}", "", *_described(section), *_table(section, definitions)]
        if name in EXAMPLES:
            # tests give each block of yaml a target, and the network is not theirs to ask
            fence = "yml" if name in {"Target", "Greenlist"} else "yaml"
            lines += ["", f"```{fence}", EXAMPLES[name].strip(), "```"]
    return "\n".join(lines) + "\n"


def _split(definitions: dict[str, Any]) -> dict[str, Any]:
    """Return Model and Server without what they have in common, and that apart."""
    both = definitions["Model"]["properties"].keys() & definitions["Server"]["properties"].keys()
    common = {key: value for key, value in definitions["Model"]["properties"].items() if key in both - {"engine"}}
    split = {"Serving": {"description": _SERVING, "properties": common}}
    for name in ("Model", "Server"):
        own = {key: value for key, value in definitions[name]["properties"].items() if key not in common}
        split[name] = {**definitions[name], "properties": own}
    return split


def _described(section: dict[str, Any]) -> list[str]:
    return [" ".join(section.get("description", "").split()), ""]


def _table(section: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    required = section.get("required", [])
    lines = ["| Field | Type | Default | Meaning |", "|---|---|---|---|"]
    for key, value in section["properties"].items():
        default = "required" if key in required else _default(value)
        meaning = value.get("description", "")
        cells = (f"`{key}`", _type(value, definitions), default, meaning)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return lines


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _default(value: dict[str, Any]) -> str:
    if "default" in value:
        default = value["default"]
        return f"`{str(default).lower() if isinstance(default, bool) else default}`"
    return ""


def _type(value: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in value:
        return _reference(value["$ref"].rpartition("/")[2], definitions)
    if "anyOf" in value:
        kinds = [_type(kind, definitions) for kind in value["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in value or "enum" in value:
        return ", ".join(f"`{word}`" for word in value.get("enum", [value.get("const")]))
    kind = value.get("type")
    if kind == "array":
        return f"list of {_type(value['items'], definitions)}"
    if kind == "object":
        inner = next(iter(value.get("patternProperties", {}).values()), value.get("additionalProperties", {}))
        return f"mapping to {_type(inner, definitions) if isinstance(inner, dict) else 'text'}"
    return _plain(kind, value)


def _plain(kind: str | None, value: dict[str, Any]) -> str:
    if kind in {"integer", "number"}:
        return _number(value)
    return "`true` or `false`" if kind == "boolean" else _text(value)


def _reference(name: str, definitions: dict[str, Any]) -> str:
    if "enum" in definitions[name]:
        return _type(definitions[name], definitions)
    title = _TITLES[name]
    anchor = "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")
    return f"[{title}](#{anchor})"


def _number(value: dict[str, Any]) -> str:
    kind = "whole number" if value["type"] == "integer" else "number"
    least, most = value.get("minimum"), value.get("maximum")
    if "exclusiveMinimum" in value:
        kind += f" above {value['exclusiveMinimum']:g}"
    if least is not None and most is not None:
        return f"{kind}, {least} to {most}"
    return f"{kind}, at least {least}" if least is not None else kind


def _text(value: dict[str, Any]) -> str:
    pattern = value.get("pattern", "")
    if "[kMGT]B" in pattern:
        return "size"
    if "ms|s|m|h|d" in pattern:
        return "duration"
    examples = value.get("examples", [])
    return "text" + (f", like `{examples[0]}`" if examples and isinstance(examples[0], str) else "")
