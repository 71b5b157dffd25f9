"""Which engines are built in, without reading what they are: all that ``check`` needs of them."""

from __future__ import annotations

from pathlib import Path

CATALOGUE = Path(__file__).parent / "catalogue"


def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in engines, sorted, without reading their files."""
    return tuple(sorted(path.stem for path in CATALOGUE.glob("*.yaml")))
