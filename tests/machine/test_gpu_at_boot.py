"""A GPU that is named late, never, or no more: by a CDI specification of devices that are harmless.

The facts say that the host has two GPUs of NVIDIA. What gives them to a container is a specification that shows
/dev/null under another name and sets a variable.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.machine import tiny
from tests.machine.grid import FILE, GATEWAY, Grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

FACTS = "/root/facts.yaml"
LATE, SOUND = "modelgrid-model-late.service", "modelgrid-model-sound.service"
LATE_GPU, SOUND_GPU = "GPU-11111111-late", "GPU-22222222-sound"
SPEC, SOUND_SPEC = "/etc/cdi/late.json", "/etc/cdi/sound.json"
NODE = "/dev/modelgrid-gpu"

#: Seconds that a model waits for its GPU.
BOUND = 8

GPUS = f"""\
- {{index: 0, uuid: {LATE_GPU}, name: none, memory: 8GiB, vendor: nvidia, node: ''}}
- {{index: 1, uuid: {SOUND_GPU}, name: none, memory: 8GiB, vendor: nvidia, node: ''}}
"""

CONFIG = f"""\
version: 1
gateway:
  listen: 0.0.0.0:8080
  keys: [{{name: test, sha256: SHA256}}]
engines:
{tiny.ENGINE}models:
  late: &model
    engine: tiny
    source: {tiny.PATH}
    gpus: [{LATE_GPU}]
    vram: 1GiB
    start_timeout: {BOUND}s
  sound:
    <<: *model
    gpus: [{SOUND_GPU}]
"""

#: Writes the specification some seconds after the boot is done, as releases of nvidia-cdi-refresh do that are ordered
#: after multi-user.target.
LIBRARY = {"hostPath": "/root/libcuda.so", "containerPath": "/usr/lib/libcuda.so", "options": ["ro", "bind"]}

WRITER = f"""\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c "sleep 5; cp /root/late.json {SPEC}"
[Install]
WantedBy=multi-user.target
"""


def spec(gpu: str) -> str:
    edits = {"env": [f"GPU={gpu}"], "deviceNodes": [{"path": NODE, "hostPath": "/dev/null"}]}
    devices = [{"name": gpu, "containerEdits": edits}]
    return json.dumps({"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu", "devices": devices})


@pytest.fixture(scope="module")
def grid(own_machine: Machine) -> Iterator[Grid]:
    """A machine of this module's own that was installed as a tree for two GPUs; it has not been booted with it."""
    machine, grid = own_machine, Grid(own_machine)
    machine.write(tiny.PATH, tiny.PROGRAM)
    facts = machine.run(["modelgrid", "facts"]).stdout
    assert "gpus: []\n" in facts
    machine.write(FACTS, facts.replace("gpus: []\n", f"gpus:\n{GPUS}"))
    machine.write(FILE, CONFIG.replace("SHA256", grid.base.split("sha256: ")[1][:64]))
    grid.modelgrid("compile", FILE, "--facts", FACTS, "--as", "host-tree", "-o", "/root/out")
    machine.run(["tar", "--extract", "--file", "/root/out/modelgrid.tar", "--directory", "/"])
    machine.write("/root/late.json", spec(LATE_GPU))
    machine.write(SOUND_SPEC, spec(SOUND_GPU))
    machine.write("/etc/systemd/system/writer.service", WRITER)
    yield grid
    grid.close()


def state(grid: Grid, unit: str) -> str:
    return grid.properties(unit, "ActiveState")["ActiveState"]


def lines(grid: Grid, unit: str, *, said: str) -> list[str]:
    """Return what the gate of *unit* wrote in this boot that begins with *said*."""
    shown = grid.machine.run(["journalctl", "--boot", "--quiet", "--output=json", f"--unit={unit}"]).stdout
    messages = [str(json.loads(line)["MESSAGE"]) for line in shown.splitlines()]
    return [message for message in messages if message.startswith(said)]


def comes_up(grid: Grid, unit: str, *, within: float) -> None:
    grid.machine.wait_until(lambda: state(grid, unit) == "active", timeout=within, what=unit)


def monotonic(grid: Grid, unit: str, name: str) -> float:
    return int(grid.properties(unit, name)[name]) / 1e6


def test_a_gpu_that_is_named_after_the_boot_delays_its_model_and_nothing_else(grid: Grid) -> None:
    grid.machine.run(["systemctl", "enable", "writer.service"])
    grid.machine.reboot()
    comes_up(grid, LATE, within=30)
    assert grid.ask("late").startswith("word1")
    inside = ["podman", "exec", "modelgrid-model-late"]
    assert f"GPU={LATE_GPU}" in grid.machine.run([*inside, "cat", "/proc/1/environ"]).stdout.split("\0")
    assert grid.machine.run([*inside, "test", "-c", NODE], check=False).returncode == 0

    # it was waited for, and neither tried in vain nor waited for by the boot
    assert grid.properties(LATE, "NRestarts") == {"NRestarts": "0"}
    written = monotonic(grid, "writer.service", "ExecMainExitTimestampMonotonic")
    assert monotonic(grid, LATE, "ActiveEnterTimestampMonotonic") > written
    for unit in (SOUND, GATEWAY, "modelgrid.target", "multi-user.target"):
        assert monotonic(grid, unit, "ActiveEnterTimestampMonotonic") < written, unit
    journal = grid.machine.run(["journalctl", "--boot", "--quiet", "--output=cat"]).stdout
    assert "rdering cycle" not in journal
    verified = grid.machine.run(["systemd-analyze", "verify", "default.target", "modelgrid.target"], check=False)
    assert "cycle" not in verified.stdout + verified.stderr


def test_a_gpu_that_is_never_named_is_told_in_a_line_and_its_model_comes_whenever_it_does(
    grid: Grid, capsys: pytest.CaptureFixture[str]
) -> None:
    grid.machine.run(["systemctl", "disable", "writer.service"])
    grid.machine.run(["rm", "-f", SPEC])
    grid.machine.reboot()
    comes_up(grid, SOUND, within=20)
    assert grid.ask("sound")
    grid.machine.wait_until(lambda: bool(lines(grid, LATE, said="no GPU")), timeout=BOUND + 10, what="the line")
    (line,) = lines(grid, LATE, said="no GPU")
    assert line == (
        f"no GPU after {BOUND} s: no CDI specification names nvidia.com/gpu={LATE_GPU}; see that the driver is loaded "
        "(nvidia-smi), then run: systemctl restart nvidia-cdi-refresh, or: nvidia-ctk cdi generate "
        "--output=/etc/cdi/nvidia.yaml"
    )
    with capsys.disabled():
        print(f"\n  {line}")
    # systemd tries on, and podman was not asked
    assert grid.properties(LATE, "ActiveState", "Result") == {"ActiveState": "activating", "Result": "exit-code"}
    assert "podman" not in grid.machine.run(["journalctl", "--boot", "--quiet", f"--unit={LATE}"]).stdout

    grid.machine.run(["cp", "/root/late.json", SPEC])
    comes_up(grid, LATE, within=30)
    assert grid.ask("late")


def test_a_gpu_that_vanishes_ends_no_model_that_runs_and_is_waited_for_by_the_next_start(grid: Grid) -> None:
    grid.machine.run(["cp", "/root/late.json", SPEC])
    grid.machine.run(["systemctl", "restart", LATE])
    before = len(lines(grid, LATE, said="no GPU"))
    grid.machine.run(["rm", SPEC])
    assert grid.ask("late")

    failed = grid.machine.run(["systemctl", "restart", LATE], check=False)
    assert failed.returncode != 0
    assert len(lines(grid, LATE, said="no GPU")) == before + 1
    assert lines(grid, LATE, said="waiting")[-1] == (
        f"waiting at most {BOUND} s for a GPU: no CDI specification names nvidia.com/gpu={LATE_GPU}"
    )
    # a specification that is older than the driver is no better than none
    stale: dict[str, Any] = json.loads(spec(LATE_GPU))
    stale["containerEdits"] = {"mounts": [LIBRARY]}
    grid.machine.write(SPEC, json.dumps(stale))
    grid.machine.wait_until(
        lambda: any("is out of date: there is no /root/libcuda.so" in text for text in lines(grid, LATE, said="wait")),
        timeout=20,
        what="the line",
    )
    grid.machine.write("/root/libcuda.so", "")
    comes_up(grid, LATE, within=30)
    assert grid.ask("late")
    assert grid.ask("sound")
