"""The power goes in the middle of an apply: after the boot, one whole generation runs and nothing is interrupted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.machine.grid import ANSWERS, CHAT, FILE
from tests.machine.images import LLAMA_IMAGE
from tests.machine.layers import MODEL

if TYPE_CHECKING:
    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

CONFIG = f"""\
version: 1
engines:
  llamacpp: {{image: {LLAMA_IMAGE}, entrypoint: /usr/bin/llama-server}}
models:
  gemma:
    engine: llamacpp
    RUNTIME
    source: {MODEL}
    context: 1024
    args: &answers
{ANSWERS}"""
#: One model that goes away makes the way to the commit long enough to be cut, and leaves links behind.
SECOND = f"""\
  second: {{engine: llamacpp, runtime: native, source: {MODEL}, context: 512}}
"""
#: Freezes an apply at that moment: it would see systemd die otherwise, and use its last instant to go back.
WATCH = """\
until [ -e "$1/state/pending.json" ] && [ COMMITTED "$1/current" -ef "$1/NOW" ]; do :; done
pkill --signal=STOP --full "modelgrid apply"
"""
#: An alias changes routes and no unit, which takes no time.
ENGINE = "    engine: llamacpp\n"
ALIASED = f"{ENGINE}    aliases: [other]\n"
QUESTION = json.dumps(
    {"model": "gemma", "max_tokens": 24, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
)
USER = {
    "HOME": "/home/ada",
    "XDG_RUNTIME_DIR": "/run/user/1000",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus",
}


class Host:
    """Commands of root, or of a user about their own units, on *machine*."""

    def __init__(self, machine: Machine, *, user: str | None = None) -> None:
        self.machine = machine
        self.base = "/etc/modelgrid" if user is None else "/home/ada/.config/modelgrid"
        self._as: dict[str, Any] = {"user": user, "env": USER} if user else {}
        self._scope = ["--user"] if user else []

    def modelgrid(self, command: str, *arguments: str) -> str:
        return self.machine.run(["modelgrid", command, *self._scope, *arguments], timeout=120, **self._as).stdout

    def status(self) -> Any:
        return json.loads(self.modelgrid("status", "--json"))

    def show(self, name: str, unit: str = CHAT) -> str:
        argv = ["systemctl", *self._scope, "show", "--value", f"--property={name}", unit]
        return self.machine.run(argv, **self._as).stdout.strip()

    def current(self) -> str:
        return self.machine.run(["readlink", f"{self.base}/current"]).stdout.strip()

    def cut_in_an_apply(self, text: str, *, committed: bool) -> None:
        """Apply *text*, cut the power while a change is under way, before its commit or after, and boot."""
        self.machine.write(FILE, text)
        script = WATCH.replace("COMMITTED", "!" if committed else "").replace("NOW", self.current())
        watch = self.machine.popen(["bash", "-c", script, "bash", self.base])
        with watch, self.machine.popen(["modelgrid", "apply", *self._scope, FILE], **self._as) as apply:
            try:
                watch.communicate(timeout=60)
                assert apply.poll() is None, apply.communicate()
                assert self.machine.exists(f"{self.base}/state/pending.json")
            finally:
                self.machine.cut_power()
                # nsenter stops when its child does
                apply.kill()
        self.machine.boot()

    def assert_runs(self, generation: int, context: int) -> None:
        """Nothing is interrupted, and the model of *generation*, with that context, answers."""
        self.machine.wait_until(lambda: self.show("ActiveState") == "active", timeout=120, what="the model")
        status = self.status()
        told = self.machine.journal("modelgrid-recover.service")
        assert (status["generation"], status["interrupted"]) == (generation, False), told
        assert self.show("ActiveState", "modelgrid.target") == "active"
        quadlet = self.show("SourcePath") or self.show("FragmentPath")
        assert f"--ctx-size {context}" in self.machine.read(quadlet)
        url = "http://127.0.0.1:8080/v1/chat/completions"
        argv = ["curl", "-sS", "--header", "content-type: application/json", "--data", QUESTION, url]
        self.machine.wait_until(
            lambda: "Paris" in self.machine.run(argv, check=False).stdout, timeout=60, what="an answer"
        )


def test_a_power_cut_before_and_after_the_commit_leaves_one_whole_generation_running(fresh_machine: Machine) -> None:
    host = Host(fresh_machine)
    first = CONFIG.replace("    RUNTIME\n", "")
    fresh_machine.write(FILE, first + SECOND)
    host.modelgrid("apply", FILE)

    # its model goes away before the commit
    host.cut_in_an_apply(first.replace("context: 1024", "context: 2048"), committed=False)
    host.assert_runs(1, 1024)
    assert host.show("ActiveState", "modelgrid-model-second.service") == "active"
    assert "generation 1 is current" in fresh_machine.journal("modelgrid-recover.service")

    host.cut_in_an_apply(first.replace("context: 1024", "context: 2048"), committed=True)
    host.assert_runs(2, 2048)
    assert host.show("LoadState", "modelgrid-model-second.service") == "not-found"
    assert "generation 2 is current" in fresh_machine.journal("modelgrid-recover.service")
    assert fresh_machine.run(["systemctl", "is-system-running"]).stdout.strip() == "running"

    # a reboot is no confirmation
    fresh_machine.write(FILE, first.replace("context: 1024", "context: 2048").replace(ENGINE, ALIASED))
    host.modelgrid("apply", "--confirm=1h", FILE)
    assert host.current() == "generations/3"
    fresh_machine.cut_power()
    fresh_machine.boot()
    host.assert_runs(2, 2048)
    assert host.status()["probation"] is None
    host.modelgrid("destroy")
    assert fresh_machine.run(["find", "/etc", "-name", "*modelgrid*"]).stdout == ""


def test_the_same_for_a_users_units(fresh_machine: Machine) -> None:
    fresh_machine.run(["useradd", "--create-home", "--uid=1000", "ada"])
    fresh_machine.run(["loginctl", "enable-linger", "ada"])
    fresh_machine.wait_until(lambda: fresh_machine.exists("/run/user/1000/bus"), what="the user's bus")
    host = Host(fresh_machine, user="ada")
    first = CONFIG.replace("RUNTIME", "runtime: native")
    fresh_machine.write(FILE, first)
    fresh_machine.run(["chmod", "755", "/root"])
    host.modelgrid("apply", FILE)
    host.cut_in_an_apply(first.replace("context: 1024", "context: 2048"), committed=True)
    fresh_machine.wait_until(lambda: fresh_machine.exists("/run/user/1000/bus"), what="the user's bus")
    host.assert_runs(2, 2048)

    fresh_machine.write(FILE, first.replace("context: 1024", "context: 2048").replace(ENGINE, ALIASED))
    host.modelgrid("apply", "--confirm=3s", FILE)
    fresh_machine.wait_until(lambda: host.current() == "generations/2", timeout=120, what="the generation before")
    fresh_machine.wait_until(lambda: host.status()["probation"] is None, timeout=120, what="the end of the probation")
    host.assert_runs(2, 2048)


def test_unconfirmed_a_change_comes_undone_and_confirmed_it_stays(machine: Machine) -> None:
    host = Host(machine)
    first = CONFIG.replace("RUNTIME", "runtime: native")
    second = first.replace("context: 1024", "context: 2048")
    machine.write(FILE, first)
    host.modelgrid("apply", FILE)
    machine.write(FILE, second)
    # its process ends at once, and the session with it
    host.modelgrid("apply", "--confirm=5s", FILE)
    assert host.status()["probation"]["back_to"] == 1
    refused = machine.run(["modelgrid", "apply", FILE], check=False)
    assert (refused.returncode, "on probation" in refused.stderr) == (3, True)
    machine.wait_until(lambda: host.status()["probation"] is None, timeout=120, what="the end of the probation")
    host.assert_runs(1, 1024)

    machine.write(FILE, first.replace(ENGINE, ALIASED))
    host.modelgrid("apply", "--confirm=1h", FILE)
    assert machine.run(["systemctl", "is-active", "modelgrid-revert.timer"]).stdout == "active\n"
    host.modelgrid("confirm")
    assert machine.run(["systemctl", "is-active", "modelgrid-revert.timer"], check=False).stdout == "inactive\n"
    assert host.status()["generation"] == 3
    host.modelgrid("destroy")
    assert machine.run(["systemctl", "list-units", "--all", "--no-legend", "modelgrid*"]).stdout == ""
