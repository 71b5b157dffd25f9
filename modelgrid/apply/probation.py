"""A change on probation: unless it is confirmed in time, the generation before it comes back by itself.

The record says so to a reboot, after which the recovery unit takes the change back; a timer of systemd's own does it
within the same boot. Neither needs the terminal, the connection or the process that the change came from.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from modelgrid.apply.store.records import Probation, Records
from modelgrid.apply.systemd import Verb
from modelgrid.emit.model import MODULE
from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from modelgrid.apply.host import Host

#: The timer, and the service that it starts; both are transient (systemd-run(1)).
REVERT = "modelgrid-revert"


def put_on_probation(host: Host, *, generation: int, back_to: int | None, seconds: float) -> Probation:
    """Arrange that *back_to* comes back after *seconds*, none for nothing applied, unless *generation* is confirmed.

    Raises:
        HostError: systemd makes no timer. The record is there then, for who goes back removes it.
        OSError: the record cannot be written.
    """
    probation = Probation(generation=generation, back_to=back_to, until=host.now().timestamp() + seconds)
    Records(host.files, host.layout).put_on_probation(probation)
    _stop_timer(host)
    user = ("--user",) if host.layout.scope is Scope.USER else ()
    argv = (
        "systemd-run",
        *user,
        "--quiet",
        "--collect",
        f"--unit={REVERT}",
        "--description=Take back a change of ModelGrid that nobody confirmed",
        f"--on-active={round(seconds * 1000)}ms",
        "--timer-property=AccuracySec=100ms",
        # another change may hold the lock just then
        "--property=Restart=on-failure",
        "--property=RestartSec=2s",
        "--property=StartLimitIntervalSec=0",
        host.python,
        *MODULE,
        "modelgrid",
        "recover",
        *user,
        f"--expired={generation}",
    )
    done = host.processes.run(*argv)
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise HostError(f"systemd-run makes no timer that takes the change back: {reason}")
    return probation


def end_probation(host: Host) -> None:
    """See that nothing comes back by itself any more."""
    records = Records(host.files, host.layout)
    if records.probation() is None:
        return
    # without its record the timer does nothing
    records.end_probation()
    _stop_timer(host)


def refuse_on_probation(host: Host) -> None:
    """Refuse a change while another one is on probation: there would be no saying what to go back to.

    Raises:
        HostError: one is.
    """
    probation = Records(host.files, host.layout).probation()
    if probation is not None:
        raise HostError(
            f"generation {probation.generation} is on probation until {_clock(probation.until)}",
            hint="keep it with: modelgrid confirm; or take it back with: modelgrid rollback",
        )


def probation_line(probation: Probation) -> str:
    """Return what comes of *probation*, in one line for people."""
    back = "nothing is applied" if probation.back_to is None else f"generation {probation.back_to} comes back"
    return (
        f"generation {probation.generation} is on probation until {_clock(probation.until)}: "
        f"modelgrid confirm keeps it, or {back}"
    )


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _stop_timer(host: Host) -> None:
    timer = f"{REVERT}.timer"
    if host.systemd.states([timer])[timer].active in {"active", "activating"}:
        host.systemd.enqueue(Verb.STOP, timer)
