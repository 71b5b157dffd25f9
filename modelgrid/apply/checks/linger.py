"""Whether a user's units go on without the user: systemd ends them at the last logout unless the user lingers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.ir import Scope

if TYPE_CHECKING:
    from modelgrid.apply.host import Host

NOTE = (
    "your units stop when you log out, and do not start at boot; to have them go on without you: loginctl enable-linger"
)


def linger_notes(host: Host) -> tuple[str, ...]:
    """Return what the user of *host* should know of it; nothing for the system's units, or where logind is not asked.

    logind ends a user's systemd a few seconds after the last session, but for users who linger
    (loginctl(1), enable-linger).
    """
    if host.layout.scope is not Scope.USER:
        return ()
    asked = host.processes.run("loginctl", "show-user", str(host.user), "--property=Linger", "--value")
    return (NOTE,) if asked.returncode == 0 and asked.stdout.strip() == "no" else ()
