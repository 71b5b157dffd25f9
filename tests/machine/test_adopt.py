"""A host where somebody made the units by hand: taken over, and given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine.grid import EMBED, FILE, GATEWAY, Grid
from tests.machine.images import LLAMA_IMAGE
from tests.machine.layers import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

UNIT = f"/etc/systemd/system/{GATEWAY}"
FOLDER = "/etc/containers/systemd/modelgrid"
THEIRS = f"[Container]\nImage={LLAMA_IMAGE}\nPull=never\nExec=sleep infinity\nStopTimeout=1\n"
#: What somebody had, by path.
FILES = {
    UNIT: "[Service]\nExecStart=/usr/bin/sleep infinity\n",
    "/etc/containers/systemd/team/modelgrid-model-embedder.container": THEIRS,
    f"{FOLDER}/theirs.container": THEIRS,
}
#: What is applied beside it.
ONE = f"""\
version: 1
engines:
  llamacpp: {{{{image: {LLAMA_IMAGE}, entrypoint: /usr/bin/llama-server}}}}
models:
  embedder:
    engine: llamacpp
    task: embed
    source: {{source}}
    context: 512
    args: {{{{pooling: mean}}}}
    {{more}}
"""
UNITS = (GATEWAY, EMBED, "theirs.service")


@pytest.fixture
def grid(machine: Machine) -> Iterator[Grid]:
    grid = Grid(machine)
    for path, text in FILES.items():
        machine.write(path, text)
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "start", *UNITS])
    yield grid
    machine.run(["systemctl", "stop", *UNITS], check=False)
    grid.modelgrid("destroy")
    machine.run(["rm", "-rf", UNIT, FOLDER, "/etc/containers/systemd/team"])
    machine.run(["systemctl", "daemon-reload"])
    grid.close()


def active(grid: Grid) -> list[str]:
    return [grid.properties(unit, "ActiveState")["ActiveState"] for unit in UNITS]


def fragments(grid: Grid) -> list[str]:
    """Where each unit comes from."""
    shown = [grid.properties(unit, "FragmentPath", "SourcePath") for unit in UNITS]
    return [found["SourcePath"] or found["FragmentPath"] for found in shown]


def test_units_of_another_are_taken_over_and_come_back_when_it_fails_and_with_destroy(grid: Grid) -> None:
    before = fragments(grid)
    assert before == list(FILES)
    refused = grid.apply(ONE.format(source=MODEL, more=""), check=False)
    assert refused.returncode == 3
    assert "--adopt" in refused.stderr
    assert active(grid) == ["active"] * 3

    # a model that does not come up: all is as it was
    grid.machine.write("/srv/models/broken.gguf", "this is no model")
    grid.machine.write(FILE, ONE.format(source="/srv/models/broken.gguf", more="start_timeout: 5s"))
    failed = grid.modelgrid("apply", FILE, "--adopt", check=False)
    assert failed.returncode == 3
    assert "nothing runs, as before" in failed.stderr
    assert {path: grid.machine.read(path) for path in FILES} == FILES
    assert fragments(grid) == before
    assert active(grid) == ["active"] * 3

    grid.machine.write(FILE, ONE.format(source=MODEL, more=""))
    shown = grid.modelgrid("plan", FILE, "--adopt", check=False)
    assert shown.returncode == 2
    assert UNIT in shown.stdout
    assert FOLDER in shown.stdout
    done = grid.modelgrid("apply", FILE, "--adopt")
    assert f"took over {UNIT}, which is kept as /etc/modelgrid/state/adopted/1{UNIT}" in done.stderr
    assert active(grid) == ["active", "active", "inactive"]
    assert grid.modelgrid("status", "--drift").returncode == 0
    assert "theirs" not in grid.machine.run(["podman", "ps", "--all", "--format", "{{.Names}}"]).stdout

    grid.modelgrid("destroy")
    assert {path: grid.machine.read(path) for path in FILES} == FILES
    assert fragments(grid) == before
    assert not grid.machine.exists("/etc/modelgrid")
