"""What earlier generations left on a real host: shown, and removed only when that is asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.machine.grid import CHAT, FILE, Grid
from tests.machine.images import LLAMA_IMAGE
from tests.machine.layers import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

OLD, NEW = "docker.io/library/old:1", "docker.io/library/new:1"
VOLUME = "modelgrid-gc-test"
WEIGHTS = "/var/lib/modelgrid/weights/old.gguf"

GRID = f"""\
version: 1
engines:
  llamacpp: {{image: IMAGE, entrypoint: /usr/bin/llama-server, volumes: VOLUMES}}
models:
  gemma: {{engine: llamacpp, source: {MODEL}, context: 512, aliases: ALIASES}}
"""


@pytest.fixture
def grid(machine: Machine) -> Iterator[Grid]:
    grid = Grid(machine)
    # two images that nobody has to pull, for they are there by these names
    container = machine.run(["podman", "create", LLAMA_IMAGE, "true"]).stdout.strip()
    machine.run(["podman", "commit", "--quiet", "--change=LABEL old=1", container, OLD])
    machine.run(["podman", "rm", container])
    machine.run(["podman", "tag", LLAMA_IMAGE, NEW])
    machine.run(["podman", "volume", "create", "mine"])
    yield grid
    grid.modelgrid("destroy")
    machine.run(["podman", "volume", "rm", "--force", "mine", VOLUME])
    machine.run(["podman", "rmi", "--force", "--ignore", OLD])
    machine.run(["podman", "untag", LLAMA_IMAGE, NEW])
    machine.run(["rm", "-rf", "/var/lib/modelgrid/weights"])
    grid.close()


def text(image: str, *, volumes: str = "[]", aliases: str = "[]") -> str:
    return GRID.replace("IMAGE", image).replace("VOLUMES", volumes).replace("ALIASES", aliases)


def test_what_no_generation_needs_any_more_is_shown_and_then_removed(grid: Grid) -> None:
    machine = grid.machine
    machine.write(WEIGHTS, "0" * 4096)
    machine.write(f"{WEIGHTS}.verified", "{}")
    grid.apply(text(OLD, volumes=f"[{{name: {VOLUME}, target: /cache}}]"))
    grid.apply(text(NEW))
    # the generation before may be gone back to, so what it needs is kept
    assert garbage(grid) == {"weights": WEIGHTS}
    machine.write(FILE, text(NEW, aliases="[gpt]"))
    grid.modelgrid("apply", FILE, "--keep", "1")
    assert [item["number"] for item in json.loads(grid.modelgrid("generations", "--json").stdout)] == [2, 3]

    assert garbage(grid) == {"weights": WEIGHTS, "volume": VOLUME, "image": OLD}
    shown = grid.modelgrid("gc", check=False)
    assert (shown.returncode, VOLUME in shown.stdout, "modelgrid gc --yes" in shown.stderr) == (2, True, True)
    # so far nothing has gone
    assert machine.exists(WEIGHTS)
    assert machine.run(["podman", "image", "exists", OLD], check=False).returncode == 0

    before = grid.invocations(CHAT)
    removed = grid.modelgrid("gc", "--yes")
    assert f"removing image {OLD}" in removed.stderr
    assert garbage(grid) == {}
    assert not machine.exists(WEIGHTS)
    assert machine.run(["podman", "volume", "ls", "--format={{.Name}}"]).stdout.split() == ["mine"]
    assert machine.run(["podman", "image", "exists", OLD], check=False).returncode == 1
    assert machine.run(["podman", "image", "exists", LLAMA_IMAGE], check=False).returncode == 0
    assert grid.invocations(CHAT) == before
    assert grid.modelgrid("rollback").returncode == 0


def garbage(grid: Grid) -> dict[str, str]:
    """What `gc` shows, by its kind, with sizes that are there."""
    process = grid.modelgrid("gc", "--json", check=False)
    found = json.loads(process.stdout)["garbage"]
    assert process.returncode == (2 if found else 0)
    assert all(item["size"] > 0 for item in found if item["kind"] in {"weights", "image"})
    return {item["kind"]: item["name"] for item in found}
