"""``gc``: what may go from this host, and, where that is asked for, its removal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelgrid.apply.garbage import GarbageKind, collect_garbage, find_garbage
from modelgrid.apply.host import this_host
from modelgrid.cli.applying import retention_of
from modelgrid.cli.output import note, result, result_json, table
from modelgrid.cli.pipeline import local_folders, scope_of
from modelgrid.errors import HostError
from modelgrid.quantities import format_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from modelgrid.apply.events import Event
    from modelgrid.apply.garbage import Garbage

#: Exit code where something may go, as that of `plan`.
CHANGES = 2

_REASONS = {
    GarbageKind.GENERATION: "older than those that stay",
    GarbageKind.WEIGHTS: "in no generation that stays",
    GarbageKind.VOLUME: "in no generation that stays, and no container uses it",
    GarbageKind.IMAGE: "pulled for a generation that is gone, and no container uses it",
}


def run_gc(options: argparse.Namespace) -> int:
    """Show what may go: exit 0 for nothing, else 2. With ``--yes``, remove it: exit 0, or 3 where some stays."""
    scope = scope_of(options)
    host, weights, retention = this_host(scope), Path(local_folders(scope).weights), retention_of(options)
    if not options.yes:
        found = find_garbage(host, weights=weights, retention=retention)
        if options.json:
            result_json(_data(found))
        elif found:
            result(_shown(found))
            note("nothing was removed; modelgrid gc --yes removes it")
        else:
            note("there is nothing to remove")
        return CHANGES if found else 0
    removed, left = collect_garbage(host, weights=weights, retention=retention, on_event=_tell)
    if options.json:
        result_json({**_data(removed), "left": _data(left)["garbage"]})
    else:
        note(f"removed {_total(removed)}" if removed else "there was nothing to remove")
    return HostError.exit_code if left else 0


def _tell(event: Event) -> None:
    note(event.message)


def _shown(found: Sequence[Garbage]) -> str:
    rows = [
        (item.kind.value, item.name, "-" if item.size is None else format_size(item.size), _REASONS[item.kind])
        for item in found
    ]
    return f"{table(rows, ('WHAT', 'NAME', 'SIZE', 'WHY'))}\nin all {_total(found)}"


def _total(items: Sequence[Garbage]) -> str:
    # layers that images share are in the size of each
    shared = " at most" if any(item.kind is GarbageKind.IMAGE for item in items) else ""
    return f"{len(items)} with {format_size(sum(item.size or 0 for item in items))}{shared}"


def _data(items: Sequence[Garbage]) -> dict[str, Any]:
    return {
        "garbage": [
            {
                "kind": item.kind.value,
                "name": item.name,
                "size": item.size,
                "manager": item.manager or None,
                "reason": _REASONS[item.kind],
            }
            for item in items
        ],
        "size": sum(item.size or 0 for item in items),
    }
