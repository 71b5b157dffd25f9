"""Which engines are built in and what they can serve, without the rest: all that ``check`` needs of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

CATALOGUE = Path(__file__).parent / "catalogue"


class BuiltinAbilities(NamedTuple):
    """Kinds of source that an engine takes and tasks that it serves, in the words of the catalogue."""

    sources: tuple[str, ...]
    tasks: tuple[str, ...]


@cache
def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in engines, sorted, without reading their files."""
    return tuple(sorted(path.stem for path in CATALOGUE.glob("*.yaml")))


@cache
def builtin_abilities(name: str) -> BuiltinAbilities | None:
    """Return what the built-in engine *name* can serve; none where there is no such one.

    It reads one file as plain data, in half a millisecond: cattrs alone costs a hundred times that.
    """
    if name not in builtin_names():
        return None
    data = read_entry(name)
    return BuiltinAbilities(sources=tuple(data["sources"]), tasks=tuple(data["tasks"]))


def read_entry(name: str) -> dict[str, Any]:
    """Return what the catalogue says of engine *name*, as plain data."""
    import yaml  # noqa: PLC0415  names alone need no reader

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data: dict[str, Any] = yaml.load((CATALOGUE / f"{name}.yaml").read_text(encoding="utf-8"), loader)  # noqa: S506  safe loader
    return data
