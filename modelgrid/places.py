"""File names as reports for other programs have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath


def below(file: str, base: PurePath) -> str:
    """Return *file* with ``/`` between its parts: relative to *base* where it lies below it, else as it is.

    What was fetched has its URL for a name, which stays.
    """
    if "://" in file:
        return file
    path = type(base)(file)
    if path.is_absolute() and path.is_relative_to(base):
        path = path.relative_to(base)
    return path.as_posix()
