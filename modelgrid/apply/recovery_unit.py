"""The unit that looks after an interrupted change at boot: there before the first change, gone with the last of us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.store.files import remove_name, replace_file
from modelgrid.apply.store.links import make_links, remove_links

if TYPE_CHECKING:
    from modelgrid.apply.host import Host


def enable_recovery(host: Host) -> None:
    """See that the recovery unit is there for the next boot. It is, before a change begins; then nothing is written."""
    from modelgrid.emit.recovery import recovery  # noqa: PLC0415  templates, which a rollback has no other use for

    files, layout = host.files, host.layout
    text = recovery(layout.scope, host.python, [layout.pending, layout.probation]).encode()
    if files.kind(layout.recovery_unit) is None or files.read(layout.recovery_unit) != text:
        replace_file(files, layout.recovery_unit, text, 0o644)
    make_links(files, layout, layout.recovery_links)


def disable_recovery(host: Host) -> None:
    """Remove the recovery unit: nothing is applied, and nothing under way."""
    files, layout = host.files, host.layout
    links = [path for path in layout.recovery_links if files.readlink(path) is not None]
    remove_links(files, layout, links)
    remove_name(files, layout.recovery_unit)
    if links:
        host.systemd.daemon_reload()
