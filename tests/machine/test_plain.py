"""Docker's containers by plain services, and quadlets of a podman that follows no link to a folder of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from modelgrid.emit.names import NETWORK_NAME
from tests.machine.grid import ANSWERS, CHAT, FILE, GATEWAY
from tests.machine.images import LLAMA_IMAGE
from tests.machine.layers import MODEL, ready_layers
from tests.machine.machine import Machine
from tests.machine.ready import import_llama, install_modelgrid
from tests.machine.rootfs import default_suite

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.machine

CONTAINER = "modelgrid-model-gemma"
CONFIG = f"""\
version: 1
engines:
  llamacpp: {{image: {LLAMA_IMAGE}, entrypoint: /usr/bin/llama-server}}
models:
  gemma:
    engine: llamacpp
    runtime: RUNTIME
    source: {MODEL}
    context: 1024
    args:
{ANSWERS}"""
QUESTION = json.dumps(
    {"model": "gemma", "max_tokens": 24, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
)


class Host:
    """A machine whose containers *program* makes."""

    def __init__(self, machine: Machine, program: str) -> None:
        self.machine = machine
        self.program = program
        self.config = CONFIG.replace("RUNTIME", program)

    def apply(self, text: str | None = None) -> None:
        self.machine.write(FILE, self.config if text is None else text)
        self.machine.run(["modelgrid", "apply", FILE], timeout=120)

    def ask(self) -> str:
        url = "http://127.0.0.1:8080/v1/chat/completions"
        argv = ["curl", "-sS", "--header", "content-type: application/json", "--data", QUESTION, url]
        return str(json.loads(self.machine.run(argv, timeout=60).stdout)["choices"][0]["message"]["content"])

    def inside(self, *argv: str, check: bool = True) -> str:
        return self.machine.run([self.program, "exec", CONTAINER, *argv], check=check).stdout

    def show(self, name: str) -> str:
        return self.machine.run(["systemctl", "show", "--value", f"--property={name}", CHAT]).stdout.strip()

    def command_line(self) -> str:
        return self.machine.run([self.program, "inspect", "--format", "{{json .Args}}", CONTAINER]).stdout


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Debian 13 with Docker and no podman."""
    with Machine(ready_layers(default_suite(), docker=True)) as machine:
        machine.boot()
        install_modelgrid(machine)
        import_llama(machine, program="docker")
        host = Host(machine, "docker")
        host.apply()
        yield host


def test_a_model_in_a_plain_service_answers_through_the_gateway(host: Host) -> None:
    active = host.machine.run(["systemctl", "is-active", CHAT, GATEWAY, "modelgrid.target"]).stdout.split()
    assert active == ["active"] * 3
    assert not host.machine.exists("/etc/containers/systemd/modelgrid")
    assert "Paris" in host.ask()
    planned = host.machine.run(["modelgrid", "plan", "--json", FILE])
    assert json.loads(planned.stdout)["relaxations"] == []


def test_it_is_as_tight_as_one_in_a_quadlet(host: Host) -> None:
    fields = dict(line.split(":\t", 1) for line in host.inside("cat", "/proc/1/status").splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()) == ("1", "2")
    routes = [line.split() for line in host.inside("cat", "/proc/net/route").splitlines()[1:]]
    assert [route for route in routes if route[1] == "00000000"] == []
    written = host.machine.run([host.program, "exec", CONTAINER, "touch", "/usr/x"], check=False)
    assert "Read-only file system" in written.stderr
    host.inside("touch", "/tmp/x")
    assert "llama" in host.machine.run(["modelgrid", "container", "logs", "gemma"]).stdout.lower()


def test_a_server_that_dies_is_started_again(host: Host) -> None:
    before = host.show("InvocationID")
    host.machine.run(["pkill", "--signal=KILL", "--exact", "llama-server"])
    host.machine.wait_until(
        lambda: host.show("InvocationID") != before and host.show("ActiveState") == "active", what="the model"
    )
    assert "Paris" in host.ask()


def test_a_change_restarts_it_and_a_rollback_brings_the_old_one_back(host: Host) -> None:
    gateway = host.machine.run(["systemctl", "show", "--property=InvocationID", GATEWAY]).stdout
    host.apply(host.config.replace("context: 1024", "context: 2048"))
    assert "2048" in host.command_line()
    host.machine.run(["modelgrid", "rollback"], timeout=120)
    assert "1024" in host.command_line()
    assert "Paris" in host.ask()
    assert host.machine.run(["systemctl", "show", "--property=InvocationID", GATEWAY]).stdout == gateway


def test_it_comes_back_after_a_reboot(host: Host) -> None:
    host.machine.reboot()
    host.machine.wait_until(lambda: host.show("ActiveState") == "active", timeout=60, what="the model")
    assert "Paris" in host.ask()


def test_destroy_leaves_nothing(host: Host) -> None:
    assert_destroyed(host)


def assert_destroyed(host: Host) -> None:
    host.machine.run(["modelgrid", "destroy"], timeout=120)
    assert host.machine.run([host.program, "ps", "--all", "--quiet"]).stdout == ""
    assert NETWORK_NAME not in host.machine.run([host.program, "network", "ls"]).stdout
    found = host.machine.run(["find", "/etc", "/run/systemd", "-name", "*modelgrid*"]).stdout
    assert found == ""
    assert host.machine.exists(MODEL)


#: What podman of Ubuntu 24.04 says of itself. Everything else is asked of the real one.
OLDER = """\
#!/bin/sh
[ "$1" = --version ] && exec echo podman version 4.9.3
exec /usr/bin/podman "$@"
"""


def test_an_older_podman_has_a_link_for_each_quadlet_until_it_is_upgraded() -> None:
    with Machine(ready_layers(default_suite())) as machine:
        machine.boot()
        install_modelgrid(machine)
        import_llama(machine)
        machine.write("/usr/local/bin/podman", OLDER)
        machine.run(["chmod", "755", "/usr/local/bin/podman"])
        host = Host(machine, "podman")

        host.apply()
        wanted = {"modelgrid.network", f"{CONTAINER}.container"}
        assert links(machine) == {name: f"/etc/modelgrid/current/quadlets/{name}" for name in wanted}
        assert host.show("ActiveState") == "active"
        assert "Paris" in host.ask()
        assert machine.run(["modelgrid", "plan", FILE], check=False).returncode == 0

        machine.run(["rm", "/usr/local/bin/podman"])
        host.apply()
        assert links(machine) == {"modelgrid": "/etc/modelgrid/current/quadlets"}
        assert "Paris" in host.ask()
        assert_destroyed(host)


def links(machine: Machine) -> dict[str, str]:
    """The links to quadlets, each with what it points to."""
    argv = ["find", "/etc/containers/systemd", "-type", "l", "-printf", "%f %l\n"]
    return dict(line.split() for line in machine.run(argv).stdout.splitlines())
