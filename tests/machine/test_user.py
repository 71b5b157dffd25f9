"""The same for a user's own systemd, with rootless podman, and without podman for programs of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine.grid import CHAT, EMBED, GATEWAY, Grid
from tests.machine.ready import import_llama

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

USER = "ada"
SESSION = {
    "HOME": "/home/ada",
    "XDG_RUNTIME_DIR": "/run/user/1000",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus",
}
FILE = "/home/ada/modelgrid.yaml"


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


def test_a_users_bus_that_is_not_there_is_one_sentence_and_writes_nothing(ada: UserGrid) -> None:
    ada.machine.write(FILE, ada.base)
    environment = {**SESSION, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/none"}
    refused = ada.machine.run(["modelgrid", "apply", "--user", FILE], user=USER, env=environment, check=False)
    assert refused.returncode == 3
    assert "D-Bus" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not ada.machine.exists("/home/ada/.config/modelgrid")
