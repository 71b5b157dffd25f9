"""The unit that finishes or takes back, at boot, a change that was interrupted. It belongs to the host, to no tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.model import MODULE
from modelgrid.emit.render import render
from modelgrid.emit.systemd_quoting import command, line
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def recovery(scope: Scope, python: str, records: Iterable[Path]) -> str:
    """Return the unit; *python* is the interpreter that has ModelGrid, and it runs where any of *records* exists.

    Raises:
        Unrepresentable: systemd takes no such path.
    """
    user = () if scope is Scope.SYSTEM else ("--user",)
    values = {
        "system": scope is Scope.SYSTEM,
        "records": [line(str(path)) for path in records],
        "command": command(python, *MODULE, "modelgrid", "recover", *user),
    }
    return render("systemd/recover.service.j2", values)
