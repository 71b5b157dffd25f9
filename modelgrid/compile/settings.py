"""The words of a configuration by path, as far as what is emitted comes from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from modelgrid.diagnostics import format_path
from modelgrid.redaction import is_secret_name, mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelgrid.diagnostics import Path

#: Sections that units, routes and keys are made from.
_SECTIONS: Final = ("engines", "gateway", "models", "network", "placement", "secrets", "servers")

#: Not even the hash of a client's key is for everyone.
_HIDDEN: Final = frozenset({"sha256"})

_STARS: Final = "********"


def settings_of(data: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return path and value of each setting of *data*, the keys and values of a file; sorted by path.

    A list of single values is one setting. Literal secrets are masked, hashes of keys are left out.
    """
    found = ((format_path(path), value) for name in _SECTIONS for path, value in _leaves(data.get(name), (name,)))
    return tuple(sorted(found, key=lambda pair: pair[0]))


def _leaves(value: object, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _HIDDEN:
                yield from _leaves(inner, (*path, str(key)))
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    elif value is not None:
        yield path, _shown(value, path)


def _shown(value: Any, path: Path) -> Any:
    if isinstance(value, list):
        return [_shown(item, path) for item in value]
    if not isinstance(value, str):
        return value
    # `secrets` only name where a secret is
    named = path[0] != "secrets" and "secrets" not in path and is_secret_name(str(path[-1]))
    return _STARS if named else mask(value)
