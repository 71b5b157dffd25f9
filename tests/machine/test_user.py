"""The same for a user's own systemd, with rootless podman, and without podman for programs of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from tests.machine import tiny
from tests.machine.grid import CHAT, EMBED, GATEWAY, Grid
from tests.machine.ready import import_llama

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

USER = "ada"
SESSION = {
    "HOME": "/home/ada",
    "XDG_RUNTIME_DIR": "/run/user/1000",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus",
}
FILE = "/home/ada/modelgrid.yaml"
LOGIND = "/etc/systemd/logind.conf.d/quick.conf"

#: What loginctl(1) calls a user who has a session.
LOGGED_IN = {"active", "online"}

#: One model that loads at once.
TINY = f"""\
engines:
{tiny.ENGINE}models:
  fast: {{engine: tiny, source: {tiny.PATH}}}
"""


class UserGrid(Grid):
    """ModelGrid in the hands of a user."""

    def as_user(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.machine.run(argv, user=USER, env=SESSION, check=check, timeout=300)


@pytest.fixture(scope="module")
def ada(machine: Machine) -> Iterator[UserGrid]:
    """A user whose systemd runs without a login, and who has the engine's image."""
    machine.run(["useradd", "--create-home", "--uid=1000", USER])
    machine.run(["loginctl", "enable-linger", USER])
    machine.wait_until(lambda: machine.exists("/run/user/1000/bus"), what="the user's bus")
    import_llama(machine, user=USER, env=SESSION)
    grid = UserGrid(machine)
    yield grid
    grid.close()
    machine.run(["loginctl", "disable-linger", USER])
    machine.run(["loginctl", "terminate-user", USER], check=False)


def test_a_user_applies_changes_and_destroys_a_grid_of_containers(ada: UserGrid) -> None:
    ada.machine.write(FILE, ada.base)
    ada.as_user("modelgrid", "apply", "--user", FILE)
    assert "Paris" in ada.ask(prompt="What is the capital of France?")
    names = ada.as_user("podman", "ps", "--format={{.Names}}").stdout.split()
    assert sorted(names) == ["modelgrid-model-embedder", "modelgrid-model-gemma"]
    assert ada.as_user("modelgrid", "plan", "--user", FILE, check=False).returncode == 0
    # nothing of it is the system's
    assert ada.units() == set()

    before = invocations(ada)
    ada.machine.write(FILE, ada.base.replace("context: 1024", "context: 2048"))
    ada.as_user("modelgrid", "apply", "--user", FILE)
    after = invocations(ada)
    assert {unit for unit in before if before[unit] != after[unit]} == {CHAT}

    assert "gemma" in ada.as_user("modelgrid", "container", "list", "--user").stdout
    ada.as_user("modelgrid", "destroy", "--user")
    listed = ada.as_user("systemctl", "--user", "list-units", "--all", "--no-legend", "modelgrid*").stdout
    assert listed == ""
    assert ada.machine.run(["find", "/home/ada/.config", "-name", "modelgrid*"]).stdout == ""


def invocations(ada: UserGrid) -> dict[str, str]:
    units = (CHAT, EMBED, GATEWAY)
    shown = [ada.as_user("systemctl", "--user", "show", unit, "--property=InvocationID").stdout for unit in units]
    return dict(zip(units, shown, strict=True))


@pytest.fixture
def session(ada: UserGrid) -> Iterator[Session]:
    """Where a user's systemd ends a second after the last logout, not ten."""
    ada.machine.write(LOGIND, "[Login]\nUserStopDelaySec=1s\n")
    ada.machine.run(["systemctl", "restart", "systemd-logind.service"])
    session = Session(ada)
    yield session
    session.log_out()
    ada.machine.run(["rm", LOGIND])
    ada.machine.run(["systemctl", "restart", "systemd-logind.service"])
    ada.machine.run(["loginctl", "enable-linger", USER])


class Session:
    """A login of the user, as logind has it."""

    def __init__(self, ada: UserGrid) -> None:
        self._machine = ada.machine

    def log_in(self) -> None:
        service = ["--property=PAMName=login", f"--uid={USER}", "--unit=login-of-ada", "--collect"]
        self._machine.run(["systemd-run", *service, "sleep", "infinity"])
        self._wait(lambda: self._state() in LOGGED_IN, "a session")
        self._wait(lambda: self._machine.exists("/run/user/1000/bus"), "the user's bus")

    def log_out(self) -> None:
        self._machine.run(["systemctl", "stop", "login-of-ada.service"], check=False)
        self._wait(lambda: self._state() not in LOGGED_IN, "the end of the session")

    def wait_for_state(self, state: str) -> None:
        """Wait until the user is as loginctl(1) says; one that logind does not know is ``gone``."""
        self._wait(lambda: self._state() == state, f"a user who is {state}")

    def _state(self) -> str:
        shown = self._machine.run(["loginctl", "show-user", USER, "--property=State", "--value"], check=False)
        return shown.stdout.strip() or "gone"

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        self._machine.wait_until(condition, what=what)


def test_a_grid_goes_on_without_a_user_who_lingers_and_ends_with_one_who_does_not(
    ada: UserGrid, session: Session
) -> None:
    ada.machine.write(FILE, ada.base.partition("engines:")[0] + TINY)
    ada.machine.write(tiny.PATH, tiny.PROGRAM)
    session.log_in()
    applied = ada.as_user("modelgrid", "apply", "--user", FILE)
    assert "enable-linger" not in applied.stdout + applied.stderr
    before = ada.as_user("systemctl", "--user", "show", GATEWAY, "--property=InvocationID").stdout
    session.log_out()
    session.wait_for_state("lingering")
    assert ada.ask("fast").startswith("word1")

    session.log_in()
    ada.machine.run(["loginctl", "disable-linger", USER])
    planned = ada.as_user("modelgrid", "plan", "--user", FILE, check=False)
    applied = ada.as_user("modelgrid", "apply", "--user", FILE)
    for said in (planned.stdout, applied.stderr):
        assert "your units stop when you log out" in said
        assert "loginctl enable-linger" in said
    assert ada.as_user("systemctl", "--user", "show", GATEWAY, "--property=InvocationID").stdout == before
    session.log_out()
    session.wait_for_state("gone")
    with pytest.raises(openai.APIConnectionError):
        ada.ask("fast")

    # and it is there again without a login
    ada.machine.run(["loginctl", "enable-linger", USER])
    ada.machine.wait_until(lambda: answers(ada), timeout=60, what="an answer")
    ada.as_user("modelgrid", "destroy", "--user")


def answers(ada: UserGrid) -> bool:
    try:
        return ada.ask("fast").startswith("word1")
    except openai.OpenAIError:
        return False


def test_a_users_bus_that_is_not_there_is_one_sentence_and_writes_nothing(ada: UserGrid) -> None:
    ada.machine.write(FILE, ada.base)
    environment = {**SESSION, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/none"}
    refused = ada.machine.run(["modelgrid", "apply", "--user", FILE], user=USER, env=environment, check=False)
    assert refused.returncode == 3
    assert "D-Bus" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not ada.machine.exists("/home/ada/.config/modelgrid")
