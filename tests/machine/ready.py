"""Machines with ModelGrid, an engine's image and a model: ready for `modelgrid apply`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.machine.images import LLAMA_IMAGE, llama_image
from tests.machine.layers import VENV, ready_layers
from tests.machine.machine import Machine
from tests.machine.rootfs import default_suite
from tests.machine.wheels import own_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def ready_machine(suite: str | None = None) -> Iterator[Machine]:
    """A booted machine of *suite* (the default one if None) with ModelGrid, `LLAMA_IMAGE` and a model."""
    with Machine(ready_layers(suite or default_suite())) as machine:
        machine.boot()
        install_modelgrid(machine)
        import_llama(machine)
        yield machine


def install_modelgrid(machine: Machine) -> None:
    """Install the working tree's wheel in *machine*, which has what it depends on, as ``modelgrid`` on the PATH."""
    wheel = next(own_wheel().iterdir())
    machine.copy_in(wheel, f"/tmp/{wheel.name}")
    pip = [
        f"{VENV}/bin/pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--force-reinstall",
        "--root-user-action=ignore",
    ]
    machine.run([*pip, f"/tmp/{wheel.name}"])
    machine.run(["ln", "-sf", f"{VENV}/bin/modelgrid", "/usr/local/bin/modelgrid"])


def remove_packages(machine: Machine, *packages: str) -> None:
    """Remove Debian *packages* from *machine*, whatever depends on them: a host that lacks them is made so."""
    machine.run(["dpkg", "--purge", "--force-depends", *packages])


def import_llama(
    machine: Machine, *, program: str = "podman", user: str | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Give *program* of *machine*, podman or docker, that of root or of *user*, the image `LLAMA_IMAGE`."""
    with llama_image().open("rb") as archive:
        machine.run([program, "import", "-", LLAMA_IMAGE], stdin=archive, user=user, env=env)
