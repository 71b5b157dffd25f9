"""systemd by systemctl(1): what it is asked, and what is made of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.process import Completed
from modelgrid.apply.systemctl import Systemctl
from modelgrid.apply.systemd import UNKNOWN, UnitState, Verb
from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

# as systemctl of systemd 257 writes it
SHOWN = """\
LoadState=loaded
ActiveState=active
SubState=running

LoadState=not-found
ActiveState=inactive
SubState=dead
"""


class Answering:
    """A systemctl that answers *stdout*, or fails with *stderr*."""

    def __init__(self, stdout: str = "", stderr: str = "") -> None:
        self.asked: list[tuple[str, ...]] = []
        self._answer = Completed(returncode=1 if stderr else 0, stdout=stdout, stderr=stderr)

    def run(self, *argv: str, environment: Mapping[str, str] | None = None, timeout: float = 60.0) -> Completed:
        assert environment is None
        assert timeout > 0
        self.asked.append(argv)
        return self._answer


def test_jobs_are_queued_and_not_waited_for() -> None:
    answering = Answering()
    systemctl = Systemctl(Scope.USER, answering)
    systemctl.daemon_reload()
    job = systemctl.enqueue(Verb.START, "modelgrid.target")
    assert answering.asked == [
        ("systemctl", "--user", "--no-ask-password", "daemon-reload"),
        ("systemctl", "--user", "--no-ask-password", "start", "--no-block", "modelgrid.target"),
    ]
    with pytest.raises(HostError, match="no job is waited for"):
        systemctl.wait([job], lambda _result: None)


def test_states_are_of_the_units_that_were_asked_for() -> None:
    systemctl = Systemctl(Scope.SYSTEM, Answering(SHOWN))
    assert systemctl.states(["b.service", "a.service"]) == {
        "a.service": UnitState(load="loaded", active="active", sub="running"),
        "b.service": UNKNOWN,
    }
    assert systemctl.states([]) == {}


def test_what_systemctl_refuses_is_quoted_but_a_failure_that_is_unknown_is_none() -> None:
    systemctl = Systemctl(Scope.SYSTEM, Answering(stderr="Failed to reload daemon: Connection refused\n"))
    with pytest.raises(HostError, match="systemctl daemon-reload: Failed to reload daemon: Connection refused"):
        systemctl.daemon_reload()
    systemctl.reset_failed("a.service")
