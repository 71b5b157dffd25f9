"""What each GPU holds, as lines of text and as plain data for JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelgrid.compile.placement import GpuRow, GpuUse


def gpu_lines(uses: Iterable[GpuUse], *, limit: int | None = None) -> list[str]:
    """Return a table for each GPU: a line that sums up, then one for each model, at most *limit* where given.

    Columns are as wide as their longest value. What cannot be known is a ``?``.
    """
    lines: list[str] = []
    for use in uses:
        lines.append(_summary(use))
        shown = use.rows if limit is None else use.rows[:limit]
        lines += _columns([_cells(row) for row in shown])
        if hidden := len(use.rows) - len(shown):
            lines.append(f"  and {hidden} more models")
    return lines


def gpu_data(uses: Iterable[GpuUse]) -> list[dict[str, object]]:
    """Return the same as values that JSON has; sizes in bytes, shares in hundredths, null where not known."""
    return [
        {
            "index": use.gpu.index,
            "uuid": use.gpu.uuid,
            "name": use.gpu.name,
            "vendor": use.gpu.vendor.value,
            "memory": use.gpu.memory,
            "reserve": use.reserve,
            "always": use.always,
            "peak": use.peak,
            "free": use.free,
            "share": use.share,
            "models": [
                {
                    "model": row.model,
                    "memory": row.memory,
                    "share": row.share,
                    "resident": row.resident.value,
                    "estimated": row.estimated,
                    "alternates": row.alternates,
                }
                for row in use.rows
            ],
        }
        for use in uses
    ]


def _summary(use: GpuUse) -> str:
    parts = [f"GPU {use.gpu.index}", f"{use.gpu.name}:", f"{format_size(use.gpu.memory)},"]
    if use.reserve:
        parts.append(f"{format_size(use.reserve)} in reserve,")
    if not use.rows:
        return " ".join([*parts, "unused"])
    parts.append(f"always {format_size(use.always)}, at most {format_size(use.peak)}, {format_size(use.free)} left")
    text = " ".join(parts)
    if use.share:
        text += f", shares {use.share / 100:.2f}"
    unknown = sum(row.memory is None for row in use.rows)
    return text + (f"; {unknown} of unknown size" if unknown else "")


def _cells(row: GpuRow) -> tuple[str, ...]:
    notes = [note for note, holds in (("estimated", row.estimated), ("alternates", row.alternates)) if holds]
    return (
        row.model,
        row.resident.value,
        "?" if row.memory is None else format_size(row.memory),
        "" if row.share is None else f"{row.share / 100:.2f}",
        ", ".join(notes),
    )


def _columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        yield ("  " + "  ".join(cells)).rstrip()
