"""What is another of the gateway's inputs, in the words of the configuration. Pure.

Routes, aliases, keys and limits touch no model: the gateway takes them while it runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelgrid.diagnostics import format_path
from modelgrid.emit.routing import KEYS, MANIFEST
from modelgrid.settings_record import SETTINGS, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from modelgrid.emit.artifact import Artifact

#: Fields of a route that its model has by the same name; the others follow from the rest of it.
_FIELDS = ("aliases", "fallback")


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing that is new for the gateway.

    Attributes:
        text: a clause for people.
        path: the part of the configuration that it comes from; empty where it is gone from there, or follows from it.
        setting: whether that is one setting, which tells the same in the user's words.
    """

    text: str
    path: str = ""
    setting: bool = False


def gateway_news(before: Iterable[Artifact], after: Iterable[Artifact]) -> tuple[News, ...]:
    """Compare the routing manifest and the keys of two trees."""
    old, new = {item.path: item.content for item in before}, {item.path: item.content for item in after}
    return (
        *_routes(_object(old.get(MANIFEST)), _object(new.get(MANIFEST))),
        *_keys(_object(old.get(KEYS)), _object(new.get(KEYS)), load_settings(new.get(SETTINGS, ""))),
    )


def _routes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[News]:
    before, after = _by(old, "routes", "model"), _by(new, "routes", "model")
    for model in sorted(after.keys() - before.keys()):
        yield News(text=f"model {model} can be asked for", path=format_path(("models", model)))
    for model in sorted(before.keys() - after.keys()):
        yield News(text=f"model {model} can no longer be asked for")
    for model in sorted(after.keys() & before.keys()):
        yield from _route(model, before[model], after[model])
    for field in sorted((old.keys() | new.keys()) - {"routes", "manifest_version"}):
        if old.get(field) != new.get(field):
            text = f"{field}: {_shown(old.get(field))} -> {_shown(new.get(field))}"
            yield News(text=text, path=format_path(("gateway", field)), setting=True)


def _route(model: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[News]:
    for field in sorted(before.keys() | after.keys()):
        old, new = before.get(field), after.get(field)
        if old == new:
            continue
        own = format_path(("models", model, field)) if field in _FIELDS else format_path(("models", model))
        match field, old, new:
            case "aliases", list(), list():
                added, gone = [name for name in new if name not in old], [name for name in old if name not in new]
                if added:
                    yield News(text=f"model {model} can be asked for as {', '.join(map(str, added))}", path=own)
                if gone:
                    yield News(
                        text=f"model {model} can no longer be asked for as {', '.join(map(str, gone))}", path=own
                    )
            case "fallback", _, list():
                yield News(text=f"model {model} falls back to {', '.join(map(str, new)) or 'none'}", path=own)
            case "upstreams", _, list():
                yield News(text=f"model {model} is served at {', '.join(map(_address, new))}")
            case "apis", list(), list():
                yield News(text=f"model {model} takes requests at {', '.join(map(str, new))}", path=own)
            case _:
                yield News(text=f"the {field} of model {model} is another", path=own)


def _keys(old: Mapping[str, Any], new: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[News]:
    before, after = _by(old, "keys", "name"), _by(new, "keys", "name")
    for name in sorted(after.keys() - before.keys()):
        yield News(text=f"key {name} is new", path=_key_path(name, settings))
    for name in sorted(before.keys() - after.keys()):
        yield News(text=f"key {name} is gone")
    for name in sorted(after.keys() & before.keys()):
        for field in sorted(before[name].keys() | after[name].keys()):
            if before[name].get(field) == after[name].get(field):
                continue
            match field:
                case "sha256":
                    text = f"key {name} has another hash"
                case "models":
                    text = f"key {name} may ask for {', '.join(map(str, after[name].get(field) or ()))}"
                case _:
                    text = f"the {field} of key {name} is another"
            yield News(text=text, path=_key_path(name, settings))


def _key_path(name: str, settings: Mapping[str, Any]) -> str:
    """Return where the configuration has the key: its entry in the list, found by its name."""
    for path, value in settings.items():
        if value == name and path.startswith("$.gateway.keys[") and path.endswith(".name"):
            return path.removesuffix(".name")
    return ""


def _by(value: Mapping[str, Any], field: str, name: str) -> Mapping[str, Mapping[str, Any]]:
    found = value.get(field)
    return {str(item[name]): item for item in found or () if isinstance(item, dict) and name in item}


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _address(upstream: object) -> str:
    return f"{upstream['host']}:{upstream['port']}" if isinstance(upstream, dict) else str(upstream)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
