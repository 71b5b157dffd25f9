"""Two hosts, from a third machine, over ssh: this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.machine.layers import ssh_layers
from tests.machine.machine import Machine
from tests.machine.ready import install_modelgrid
from tests.machine.rootfs import default_suite
from tests.requirements import require_tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.machine

ROOT = Path(__file__).parents[2]
USER = "ada"

#: A server that every host has.
GRID = """\
version: 1
engines:
  tiny:
    program: python3
    command: [-m, http.server, --bind, "{host}", "{port}"]
    sources: [none]
    health: {path: /}
models:
  one: {engine: tiny, runtime: native}
"""
#: One that never is ready.
STUCK = f"""{GRID.replace("path: /", "path: /never")}
"""


class Away:
    """Commands here for hosts there, which ssh knows by the names of *machines*."""

    def __init__(self, folder: Path, machines: Mapping[str, Machine]) -> None:
        self.machines = machines
        self.file = folder / "modelgrid.yaml"
        self.file.write_text(GRID, encoding="utf-8")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
        self.public = (folder / "key.pub").read_text(encoding="utf-8")
        hosts = "".join(f"Host {name}\n  HostName {machine.address}\n" for name, machine in machines.items())
        (folder / "config").write_text(
            f"{hosts}Host *\n  IdentityFile {folder}/key\n  IdentitiesOnly yes\n  StrictHostKeyChecking no\n"
            f"  UserKnownHostsFile {folder}/known\n  LogLevel ERROR\n",
            encoding="utf-8",
        )
        ssh = folder / "bin" / "ssh"
        ssh.parent.mkdir()
        ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/config "$@"\n', encoding="utf-8")
        ssh.chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{ssh.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "modelgrid", *arguments]
        # a terminal's Ctrl-C reaches the whole group, ssh too
        return subprocess.Popen(
            argv,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def modelgrid(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def ssh(self, *arguments: str) -> None:
        subprocess.run(["ssh", *arguments], env=self.environment, check=True, capture_output=True, timeout=30)

    def generations(self) -> dict[str, list[int]]:
        """The generations of each host that is on."""
        return {
            name: [item["number"] for item in json.loads(machine.run(["modelgrid", "generations", "--json"]).stdout)]
            for name, machine in self.machines.items()
            if machine.is_on
        }


#: root on one, on the other a user who may become root.
BOTH = ("--host", "ssh://root@gpu01", "--host", f"ssh://{USER}@gpu02")


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Away]:
    require_tools("ssh", "ssh-keygen")
    with ExitStack() as stack:
        machines = {}
        for name in ("gpu01", "gpu02"):
            machines[name] = stack.enter_context(Machine(ssh_layers(default_suite())))
            machines[name].boot()
            install_modelgrid(machines[name])
        away = Away(tmp_path_factory.mktemp("away"), machines)
        machines["gpu01"].write("/root/.ssh/authorized_keys", away.public, mode=0o600)
        other = machines["gpu02"]
        other.run(["useradd", "--create-home", "--uid=1000", "--shell=/bin/bash", USER])
        other.write(f"/home/{USER}/.ssh/authorized_keys", away.public, mode=0o600)
        other.run(["chown", "-R", f"{USER}:", f"/home/{USER}/.ssh"])
        rule = f"{USER} ALL=(root) NOPASSWD: /usr/local/bin/modelgrid remote\n"
        other.write("/etc/sudoers.d/modelgrid", rule, mode=0o440)
        yield away


def test_one_command_applies_to_both(away: Away) -> None:
    planned = away.modelgrid("plan", str(away.file), *BOTH)
    assert planned.returncode == 2
    assert f"because models.one is new  {away.file}:9" in planned.stdout
    applied = away.modelgrid("apply", str(away.file), *BOTH)
    assert applied.returncode == 0, applied.stderr
    assert "gpu01: generation 1 is current" in applied.stderr
    assert applied.stderr.splitlines()[-3:] == ["HOST", "gpu01  done", "gpu02  done"]
    for machine in away.machines.values():
        unit = machine.run(["systemctl", "is-active", "modelgrid-model-one.service", "modelgrid-gateway.service"])
        assert unit.stdout.split() == ["active", "active"]
    # the same, seen from there
    assert away.generations() == {"gpu01": [1], "gpu02": [1]}
    again = away.modelgrid("plan", str(away.file), *BOTH)
    assert (again.returncode, again.stdout.count("nothing to do")) == (0, 2)

    status = json.loads(away.modelgrid("status", "--json", *BOTH).stdout)
    assert [item["result"]["generation"] for item in status["hosts"]] == [1, 1]
    assert (
        away.modelgrid("facts", "--host", "ssh://root@gpu01").stdout
        == away.machines["gpu01"].run(["modelgrid", "facts"]).stdout
    )


def test_ctrl_c_here_takes_the_change_back_there(away: Away) -> None:
    before = away.generations()
    away.file.write_text(STUCK, encoding="utf-8")
    with away.start("apply", str(away.file), *BOTH) as process:
        said = until_both_start(process)
        os.killpg(process.pid, signal.SIGINT)
        said += process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert {"gpu01: going back", "gpu02: going back"} <= set(said.splitlines())
    assert "gpu01  interrupted\ngpu02  interrupted" in said
    assert after(away, before)


def test_a_process_here_that_is_killed_takes_the_change_back_there(away: Away) -> None:
    before = away.generations()
    away.file.write_text(STUCK, encoding="utf-8")
    with away.start("apply", str(away.file), *BOTH) as process:
        until_both_start(process)
        process.kill()
        process.communicate()
    for machine in away.machines.values():
        machine.wait_until(lambda machine=machine: not machine.exists("/etc/modelgrid/state/pending.json"))  # type: ignore[misc]
    assert after(away, before)


def until_both_start(process: subprocess.Popen[str]) -> str:
    """Read until both hosts wait for the model that never is ready."""
    assert process.stderr is not None
    said = ""
    waiting = {f"{name}: restarting modelgrid-model-one.service" for name in ("gpu01", "gpu02")}
    while not waiting <= set(said.splitlines()):
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def after(away: Away, before: dict[str, list[int]]) -> bool:
    """Whether both hosts run what they ran, with nothing left to do."""
    away.file.write_text(GRID, encoding="utf-8")
    return away.generations() == before and away.modelgrid("plan", str(away.file), *BOTH).returncode == 0


def test_a_host_that_is_off_keeps_the_other_from_nothing(away: Away) -> None:
    away.file.write_text(GRID.replace("one:", "two:"), encoding="utf-8")
    off = away.machines["gpu02"]
    off.poweroff()
    # as in a network where nobody answers for that address: this host may have a way to elsewhere
    route = [off.address, "metric", "1"]
    subprocess.run(["ip", "route", "add", "unreachable", *route], check=True)
    applied = away.modelgrid("apply", str(away.file), *BOTH)
    assert applied.returncode == 3, applied.stderr
    *_, first, second = applied.stderr.splitlines()
    assert first == "gpu01  done"
    assert second.startswith("gpu02  not done: cannot log in: ssh: connect to host")
    assert away.machines["gpu01"].run(["systemctl", "is-active", "modelgrid-model-two.service"]).stdout == "active\n"

    subprocess.run(["ip", "route", "delete", "unreachable", *route], check=True)
    off.boot()
    off.wait_until(lambda: away.modelgrid("status", *BOTH).returncode == 0)
    assert away.modelgrid("apply", str(away.file), *BOTH).returncode == 0
    assert away.generations() == {"gpu01": [1, 2], "gpu02": [1, 2]}
    assert away.modelgrid("rollback", *BOTH).returncode == 0
    shown = json.loads(away.modelgrid("generations", "--json", *BOTH).stdout)["hosts"]
    assert [[item["number"] for item in host["result"] if item["current"]] for host in shown] == [[1], [1]]


def test_a_host_without_modelgrid_says_how_to_install_it(away: Away) -> None:
    machine = away.machines["gpu01"]
    machine.run(["mv", "/usr/local/bin/modelgrid", "/usr/local/bin/away"])
    machine.run(["mv", "/opt/modelgrid/bin/modelgrid", "/opt/modelgrid/bin/away"])
    try:
        asked = away.modelgrid("status", "--host", "ssh://root@gpu01")
    finally:
        machine.run(["mv", "/opt/modelgrid/bin/away", "/opt/modelgrid/bin/modelgrid"])
        machine.run(["mv", "/usr/local/bin/away", "/usr/local/bin/modelgrid"])
    assert asked.returncode == 3
    assert asked.stderr.splitlines()[0] == "gpu01: ModelGrid is not installed there"
    assert "/opt/modelgrid/bin/pip install" in asked.stderr


def test_destroy_leaves_nothing_on_either(away: Away) -> None:
    assert away.modelgrid("destroy", *BOTH).returncode == 0
    for machine in away.machines.values():
        assert not machine.exists("/etc/modelgrid")


def test_units_of_a_user_end_at_logout_and_the_user_is_told(away: Away) -> None:
    host, hint = ("--user", "--host", f"ssh://{USER}@gpu02"), "loginctl enable-linger"
    assert hint in away.modelgrid("plan", str(away.file), *host).stdout
    # what the hint says is all that it takes, without being root
    away.ssh(f"{USER}@gpu02", hint)
    assert hint not in away.modelgrid("plan", str(away.file), *host).stdout
    applied = away.modelgrid("apply", str(away.file), *host)
    assert applied.returncode == 0, applied.stderr
