"""The machine for tests is what it says it is."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.machine.images import LLAMA_IMAGE
from tests.machine.layers import MODEL
from tests.machine.machine import CommandFailed, Machine
from tests.machine.ready import install_modelgrid, remove_packages
from tests.machine.rootfs import default_suite, host_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.machine

REPOSITORY = Path(__file__).resolve().parents[2]

NETWORK = """\
[Network]
NetworkName=harness
Internal=true
DisableDNS=true
Subnet=10.133.0.0/16
Gateway=10.133.0.1
"""

ENGINE = f"""\
[Container]
Image={LLAMA_IMAGE}
Pull=never
ContainerName=harness
Exec=llama-server --model /models/gemma-3-270m.gguf --host 0.0.0.0 --port 8080 --ctx-size 2048 --alias tiny
Network=harness.network
IP=10.133.7.11
DropCapability=all
NoNewPrivileges=true
ReadOnly=true
Volume=/srv/models:/models:ro
Notify=healthy
HealthCmd=/usr/bin/curl -fsS http://127.0.0.1:8080/health
HealthInterval=2s
HealthStartupCmd=/usr/bin/curl -fsS http://127.0.0.1:8080/health
HealthStartupInterval=1s
HealthStartupRetries=0
[Service]
TimeoutStartSec=60
"""

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Say hi"}], "max_tokens": 8}


@pytest.fixture
def engine(machine: Machine) -> Iterator[str]:
    """The unit of a llama.cpp in a locked-up container, not started yet."""
    machine.write("/etc/containers/systemd/harness/harness.network", NETWORK)
    machine.write("/etc/containers/systemd/harness/harness.container", ENGINE)
    machine.run(["systemctl", "daemon-reload"])
    yield "harness.service"
    machine.run(["systemctl", "stop", "harness.service", "harness-network.service"])
    machine.run(["rm", "-r", "/etc/containers/systemd/harness"])
    machine.run(["podman", "network", "rm", "--force", "harness"])
    machine.run(["systemctl", "daemon-reload"])


def test_machine_is_run_by_systemd(machine: Machine) -> None:
    assert machine.read("/proc/1/comm") == "systemd\n"
    assert machine.run(["systemctl", "is-system-running"]).stdout == "running\n"


def test_machine_has_a_podman_that_works(machine: Machine) -> None:
    info = json.loads(machine.run(["podman", "info", "--format=json"]).stdout)

    assert info["host"]["cgroupManager"] == "systemd"
    assert info["store"]["graphDriverName"] == "overlay"


def test_machine_has_what_modelgrid_needs(machine: Machine) -> None:
    assert machine.run(["/opt/modelgrid/bin/python", "-c", "import pystemd, granian, uvloop, pydantic"]).stderr == ""
    assert machine.run(["modelgrid", "--version"]).stdout.startswith("modelgrid ")
    assert machine.run(["podman", "image", "exists", LLAMA_IMAGE]).returncode == 0
    assert machine.run(["head", "--bytes=4", MODEL]).stdout == "GGUF"


def test_machine_tells_a_failed_command_with_what_it_wrote(machine: Machine) -> None:
    with pytest.raises(CommandFailed, match="cat /nowhere: code 1\ncat: /nowhere: No such file"):
        machine.run(["cat", "/nowhere"])


def test_machine_ends_a_command_that_takes_too_long(machine: Machine) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        machine.run(["sleep", "1234"], timeout=0.2)

    machine.wait_until(lambda: machine.run(["pgrep", "-f", "sleep 1234"], check=False).returncode == 1, timeout=5)


def test_machine_runs_a_command_as_another_user(machine: Machine) -> None:
    assert machine.run(["id", "-un"], user="nobody").stdout == "nobody\n"


def test_machine_keeps_the_text_and_mode_of_a_file(machine: Machine) -> None:
    machine.write("/tmp/harness/a", "ä 'b'\n", 0o600)

    assert machine.read("/tmp/harness/a") == "ä 'b'\n"
    assert machine.run(["stat", "-c", "%a %U", "/tmp/harness/a"]).stdout == "600 root\n"


def test_machine_takes_a_folder_under_another_name(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "here" / "deep").mkdir(parents=True)
    (tmp_path / "here" / "deep" / "file").write_text("x", encoding="utf-8")
    (tmp_path / "here" / "deep" / "file").chmod(0o640)
    machine.copy_in(tmp_path / "here", "/tmp/harness-copy/there")

    assert machine.read("/tmp/harness-copy/there/deep/file") == "x"
    assert machine.run(["stat", "-c", "%a", "/tmp/harness-copy/there/deep/file"]).stdout == "640\n"


def test_waiting_in_vain_shows_the_journal(machine: Machine) -> None:
    machine.run(["logger", "--tag", "harness", "something odd"])
    with pytest.raises(TimeoutError, match=r"the moon did not come(?s:.*)something odd"):
        machine.wait_until(lambda: False, timeout=0.1, what="the moon")


def test_locked_up_engine_becomes_healthy_and_answers(machine: Machine, engine: str) -> None:
    machine.run(["systemctl", "start", engine])
    url = "http://10.133.7.11:8080/v1/chat/completions"
    answer = machine.run(["curl", "-fsS", "--json", "@-", url], input=json.dumps(CHAT)).stdout

    assert json.loads(answer)["choices"][0]["message"]["content"]


def test_a_health_gate_among_the_arguments_decides_as_the_key_does(machine: Machine, engine: str) -> None:
    text = ENGINE.replace("Notify=healthy", "PodmanArgs=--sdnotify=healthy")
    machine.write("/etc/containers/systemd/harness/harness.container", text)
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "start", engine])
    state = machine.run(
        ["podman", "inspect", "harness", "--format", "{{.Config.SdNotifyMode}} {{.State.Health.Status}}"]
    )

    assert state.stdout.split() == ["healthy", "healthy"]


def test_engine_on_an_internal_network_has_no_rights_and_no_way_out(machine: Machine, engine: str) -> None:
    machine.run(["systemctl", "start", engine])
    status = machine.run(["podman", "exec", "harness", "cat", "/proc/1/status"]).stdout
    routes = machine.run(["podman", "exec", "harness", "cat", "/proc/net/route"]).stdout.splitlines()[1:]

    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert [line.split()[1] for line in routes] == ["0000850A"]  # 10.133.0.0 only, as the kernel writes it


def test_host_reaches_a_service_of_the_machine(machine: Machine) -> None:
    unit = "harness-http.service"
    argv = ["systemd-run", f"--unit={unit}", "--collect", "python3", "-m", "http.server", "8099"]
    machine.run([*argv, "--directory", "/opt"])
    try:
        machine.wait_until(lambda: "8099" in machine.run(["ss", "--no-header", "-ltn", "sport = 8099"]).stdout)
        with urllib.request.urlopen(f"http://{machine.address}:8099/", timeout=5) as response:
            assert b"modelgrid/" in response.read()
    finally:
        machine.run(["systemctl", "stop", unit])


def test_files_outlive_a_reboot_and_a_power_cut() -> None:
    with Machine([host_root(default_suite())]) as machine:
        machine.boot()
        first = machine.read("/proc/sys/kernel/random/boot_id")
        machine.write("/srv/a", "a\n")
        machine.reboot()
        second = machine.read("/proc/sys/kernel/random/boot_id")
        machine.write("/srv/b", "b\n")
        machine.cut_power()
        machine.boot()

        assert machine.read("/srv/a") + machine.read("/srv/b") == "a\nb\n"
        assert len({first, second, machine.read("/proc/sys/kernel/random/boot_id")}) == 3


def test_machines_run_side_by_side_and_do_not_share_files(machine: Machine) -> None:
    with Machine([host_root(default_suite())]) as other:
        other.boot()
        other.write("/srv/only-here", "")

        assert other.address != machine.address
        assert other.exists("/srv/only-here")
        assert not machine.exists("/srv/only-here")
        assert not (host_root(default_suite()) / "srv/only-here").exists()


def test_machine_can_lack_podman_and_a_running_systemd(off_machine: Machine) -> None:
    off_machine.boot(["sleep", "infinity"])
    install_modelgrid(off_machine)
    remove_packages(off_machine, "podman")

    assert off_machine.run(["modelgrid", "--version"]).stdout
    assert not off_machine.exists("/usr/bin/podman")
    assert not off_machine.exists("/run/systemd/system")


def test_killed_test_run_leaves_nothing_behind() -> None:
    script = """
import os, signal
from tests.machine.machine import Machine
from tests.machine.ready import install_modelgrid, remove_packages
from tests.machine.rootfs import default_suite, host_root
machine = Machine([host_root(default_suite())])
machine.boot()
print(machine._sandbox.leader, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False, timeout=60
    )
    leader = Path("/proc") / process.stdout.strip()

    with Machine([host_root(default_suite())]) as machine:  # its name, network and cgroup are free again
        machine.boot()
        machine.wait_until(lambda: not leader.exists(), timeout=10)
