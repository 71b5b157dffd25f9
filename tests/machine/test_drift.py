"""A host that somebody works on: each change is found by its word, and gone when it is mended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.machine.grid import CHAT, EMBED, FILE, GATEWAY, Grid
from tests.machine.images import LLAMA_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

UNITS = "/etc/systemd/system"
QUADLET = "/etc/modelgrid/current/quadlets/modelgrid-model-embedder.container"


@pytest.fixture(scope="module")
def grid(machine: Machine) -> Iterator[Grid]:
    grid = Grid(machine)
    grid.apply()
    yield grid
    grid.modelgrid("destroy")
    grid.close()


@pytest.fixture(autouse=True)
def _no_drift_before_and_after(grid: Grid) -> Iterator[None]:
    assert drift(grid) == (0, [])
    yield
    assert drift(grid) == (0, [])


def drift(grid: Grid) -> tuple[int, list[tuple[str, str]]]:
    """The exit code of `status --drift`, and each word with the unit that it is about."""
    process = grid.modelgrid("status", "--drift", "--json", check=False)
    shown: dict[str, Any] = json.loads(process.stdout)
    assert shown["unseen"] == []
    return process.returncode, [(item["kind"], item["unit"] or "") for item in shown["drift"]]


def systemctl(grid: Grid, *arguments: str) -> None:
    grid.machine.run(["systemctl", *arguments])


def test_an_edited_quadlet(grid: Grid) -> None:
    before = grid.invocations(CHAT, EMBED, GATEWAY)
    grid.machine.run(["sed", "-i", "1s/$/ edited/", QUADLET])
    assert drift(grid) == (2, [("file-edited", EMBED), ("needs-reload", EMBED)])
    refused = grid.modelgrid("apply", FILE, "--no-drift-overwrite", check=False)
    assert refused.returncode == 3
    assert "modelgrid-model-embedder.container was edited" in refused.stderr
    grid.modelgrid("apply", FILE)
    assert grid.invocations(CHAT, EMBED, GATEWAY) == before


def test_a_mask(grid: Grid) -> None:
    systemctl(grid, "mask", EMBED)
    assert drift(grid) == (2, [("masked", EMBED)])
    shown = grid.modelgrid("status")
    assert [line.split()[2] for line in shown.stdout.splitlines() if line.startswith(EMBED)] == ["masked"]
    systemctl(grid, "unmask", EMBED)


def test_drop_ins_of_systemd_and_of_podman_are_shown_and_kept(grid: Grid) -> None:
    machine = grid.machine
    systemd = f"{UNITS}/{EMBED}.d/10-mine.conf"
    podman = "/etc/containers/systemd/modelgrid-model-gemma.container.d/10-mine.conf"
    machine.write(systemd, "[Service]\nNice=1\n")
    machine.write(podman, "[Container]\nPidsLimit=4096\n")
    systemctl(grid, "daemon-reload")
    assert drift(grid) == (2, [("drop-in", EMBED), ("drop-in", CHAT)])
    assert "--pids-limit 4096" in machine.run(["systemctl", "cat", CHAT]).stdout
    shown = grid.modelgrid("plan", FILE)
    assert f"{EMBED} has drop-ins of yours, which are kept: {systemd}" in shown.stdout
    assert f"{CHAT} has drop-ins of yours, which are kept: {podman}" in shown.stdout
    machine.run(["rm", "-r", systemd.rpartition("/")[0], podman.rpartition("/")[0]])
    systemctl(grid, "daemon-reload")


def test_an_image_that_its_name_no_longer_means(grid: Grid) -> None:
    machine = grid.machine
    image = machine.run(["podman", "image", "inspect", "--format", "{{.Id}}", LLAMA_IMAGE]).stdout.strip()
    machine.run(["sh", "-c", f"tar -cC /etc hostname | podman import --quiet - {LLAMA_IMAGE}"])
    assert drift(grid) == (2, [("image-moved", EMBED), ("image-moved", CHAT)])
    machine.run(["podman", "rmi", LLAMA_IMAGE])
    machine.run(["podman", "tag", image, LLAMA_IMAGE])


def test_a_container_of_older_definitions_a_model_that_was_stopped_and_a_container_that_nobody_runs(grid: Grid) -> None:
    # somebody edits and restarts, and apply takes the edit back
    label = "s/Label=io.modelgrid.config-hash=.*/Label=io.modelgrid.config-hash=0/"
    grid.machine.run(["sed", "-i", label, QUADLET])
    systemctl(grid, "daemon-reload")
    systemctl(grid, "restart", EMBED)
    grid.modelgrid("apply", FILE)
    assert drift(grid) == (2, [("container-outdated", EMBED)])

    grid.machine.run(["podman", "create", "--name", "modelgrid-model-left", LLAMA_IMAGE, "true"])
    systemctl(grid, "stop", EMBED)
    assert drift(grid) == (2, [("not-running", EMBED), ("container-unowned", "")])
    assert grid.modelgrid("status", check=False).returncode == 2
    grid.modelgrid("apply", FILE)
    assert grid.modelgrid("status").returncode == 0
    grid.machine.run(["podman", "rm", "modelgrid-model-left"])


def test_a_unit_that_is_replaced_and_a_boot_that_starts_nothing(grid: Grid) -> None:
    path = f"{UNITS}/{EMBED}"
    grid.modelgrid("service", "disable")
    grid.machine.write(path, "[Service]\nExecStart=/usr/bin/sleep infinity\n")
    assert drift(grid) == (2, [("disabled", "modelgrid.target"), ("unit-replaced", EMBED)])
    grid.machine.run(["rm", path])
    grid.modelgrid("service", "enable")


def test_a_timer_looks_in_a_sandbox_and_writes_metrics(grid: Grid) -> None:
    folder, left = "/var/lib/metrics", "modelgrid-model-left"
    grid.machine.run(["mkdir", "-p", folder])
    grid.machine.run(["podman", "create", "--name", left, LLAMA_IMAGE, "true"])
    grid.apply(grid.base.replace("models:\n", f"monitor: {{every: 1h, metrics: {folder}}}\nmodels:\n", 1))
    assert grid.properties("modelgrid-drift.timer", "ActiveState")["ActiveState"] == "active"
    systemctl(grid, "start", "modelgrid-drift.service")
    lines = grid.machine.read(f"{folder}/modelgrid.prom").splitlines()
    # what only podman knows is seen from within the sandbox
    assert 'modelgrid_drift{kind="container-unowned",unit="",model=""} 1' in lines
    assert "modelgrid_drift_findings 1" in lines
    assert f'modelgrid_unit_up{{unit="{CHAT}",model="gemma"}} 1' in lines
    said = grid.machine.journal("modelgrid-drift.service")
    assert f"podman rm --force {left}" in said
    assert "not looked at" not in said
    grid.machine.run(["systemd-analyze", "security", "--threshold=20", "--no-pager", "modelgrid-drift.service"])
    grid.machine.run(["podman", "rm", left])
    grid.apply()
    grid.machine.run(["rm", "-r", folder])
