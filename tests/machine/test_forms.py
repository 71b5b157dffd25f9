"""Hosts that no `apply` has touched: what `compile --as` wrote is put on them, and they boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine.grid import CHAT, EMBED, FILE, GATEWAY, Grid
from tests.machine.images import LLAMA_IMAGE, llama_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

KEYS = "/etc/modelgrid/current/keys.json"
STORE = "/usr/lib/bootc/storage"
REAL_STORE = "/var/lib/containers/bootc"
BOUND_IMAGE = "registry.example/llama.cpp:debian"


@pytest.fixture
def grid(fresh_machine: Machine) -> Iterator[Grid]:
    grid = Grid(fresh_machine)
    yield grid
    grid.close()


def unpack(grid: Grid, form: str, text: str) -> None:
    """Put the archive of *form* over the machine's files."""
    grid.machine.write(FILE, text)
    grid.modelgrid("compile", FILE, "--as", form, "-o", "/root/out")
    grid.machine.run(["tar", "--extract", "--file", "/root/out/modelgrid.tar", "--directory", "/"])


def boot(grid: Grid, *units: str) -> None:
    grid.machine.reboot()
    wanted = "\n".join(["active"] * len(units))
    grid.machine.wait_until(
        lambda: grid.machine.run(["systemctl", "is-active", *units], check=False).stdout.strip() == wanted,
        timeout=120,
        what="the grid",
    )


def test_a_host_tree_serves_after_the_first_boot_and_apply_leaves_it_alone(grid: Grid) -> None:
    unpack(grid, "host-tree", grid.base)
    boot(grid, "modelgrid.target", GATEWAY, CHAT, EMBED)
    assert "Paris" in grid.ask(prompt="What is the capital of France?")
    assert grid.machine.run(["stat", "--format=%a %U", KEYS]).stdout.strip() == "600 root"

    before = grid.invocations(CHAT, EMBED, GATEWAY)
    refused = grid.apply(check=False)
    assert refused.returncode == 3
    assert "in the way, and not made by ModelGrid: /etc/containers/systemd/modelgrid" in refused.stderr
    assert grid.invocations(CHAT, EMBED, GATEWAY) == before


def test_a_bootc_layer_serves_with_images_from_its_own_store(grid: Grid) -> None:
    """The image is in the store that bootc would fill, and nowhere else; the keys come by hand."""
    machine = grid.machine
    machine.run(["podman", "image", "rm", LLAMA_IMAGE])
    # bootc has a link there too; the machine's /usr is on a file system that images cannot be stored on
    machine.run(["mkdir", "-p", REAL_STORE, "/usr/lib/bootc"])
    machine.run(["ln", "-s", REAL_STORE, STORE])
    with llama_image().open("rb") as archive:
        machine.run(["podman", "--root", REAL_STORE, "import", "--quiet", "-", BOUND_IMAGE], stdin=archive)
    text = grid.base.replace(LLAMA_IMAGE, BOUND_IMAGE)
    unpack(grid, "bootc", text)
    assert not machine.exists(KEYS)
    machine.run(["install", "--mode=600", "/root/out/keys.json", KEYS])

    boot(grid, "modelgrid.target", GATEWAY, CHAT, EMBED)
    assert "Paris" in grid.ask(prompt="What is the capital of France?")
    assert machine.run(["podman", "images", "--quiet"]).stdout == ""
