"""Sizes and durations as people write them: ``8GiB``, ``15m``."""

from __future__ import annotations

import re

_SIZE_UNITS = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TOO_LARGE = 2**63
_DIGITS = 20
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)\Z", re.ASCII)
_DURATION = re.compile(r"(?:\d+(?:ms|s|m|h|d))+\Z", re.ASCII)
_DURATION_PART = re.compile(r"(\d+)(ms|s|m|h|d)", re.ASCII)


def parse_size(text: str) -> int:
    """Read a size with its unit into bytes.

    Units are those of IEC 80000-13 (``KiB`` … ``TiB``) and SI (``kB`` … ``TB``).

    Raises:
        ValueError: *text* is no size; the message names the form that is wanted.
        OverflowError: it does not fit into 63 bits.
    """
    match = _SIZE.match(text)
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size; write a number and a unit, like 8GiB or 512MiB")
    unit = _SIZE_UNITS[match[2]]
    # whole numbers stay exact beyond 2 to the 53rd
    size = int(match[1]) * unit if match[1].isdecimal() and len(match[1]) < _DIGITS else int(float(match[1]) * unit)
    if size >= _TOO_LARGE:
        raise OverflowError(f"{text[:20]}… is larger than any memory")
    return size


def format_size(size: int) -> str:
    """Write *size* bytes in the largest binary unit that keeps it readable: ``7.5GiB``."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _SIZE_UNITS["KiB"]:
            return f"{value:.4g}{unit}"
        value /= _SIZE_UNITS["KiB"]
    return f"{value:.4g}TiB"


def write_size(size: int) -> str:
    """Write *size* bytes so that :func:`parse_size` reads the same: in the largest unit that divides it."""
    units = ("TiB", "GiB", "MiB", "KiB")
    unit = next((unit for unit in units if size and size % _SIZE_UNITS[unit] == 0), "B")
    return f"{size // _SIZE_UNITS[unit]}{unit}"


def write_duration(seconds: float) -> str:
    """Write *seconds* so that :func:`parse_duration` reads the same, to the millisecond: ``1h30m``."""
    left = round(seconds * 1000)
    text = ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, round(_DURATION_UNITS[unit] * 1000))
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def parse_duration(text: str) -> float:
    """Read a duration such as ``90s``, ``15m`` or ``1h30m`` into seconds.

    Raises:
        ValueError: *text* is no duration; the message names the form that is wanted.
    """
    if not _DURATION.match(text):
        raise ValueError(f"{text!r} is not a duration; write a number and a unit, like 90s, 15m or 1h30m")
    return sum(int(number) * _DURATION_UNITS[unit] for number, unit in _DURATION_PART.findall(text))
