"""What must hold of a host whatever happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.planning.units import units_of
from modelgrid.apply.store.generations import Generations
from modelgrid.emit.unitfile import meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.emit.artifact import Artifact
    from tests.apply.fakes import Machine


def assert_runs(machine: Machine, tree: Sequence[Artifact]) -> None:
    """The current generation is whole and is *tree*; every unit runs by it, and no other unit of ours does."""
    generations = Generations(machine.files, machine.layout)
    number = generations.current()
    assert number is not None
    assert generations.problems(number) == ()
    assert generations.read(number) == tuple(sorted(tree))
    units = units_of(tree)
    running = machine.systemd.running
    assert {name for name, unit in units.items() if unit.wanted} <= running.keys()
    assert running.keys() <= units.keys()
    for name, text in running.items():
        assert meaning(text) == meaning(units[name].artifact.content), name
    assert machine.systemd.failed == set()
    assert machine.manifest_in_use() is not None


def assert_nothing_left(machine: Machine) -> None:
    """No unit of ours runs, and no file or link of ours is there."""
    assert machine.systemd.running == {}
    assert machine.systemd.failed == set()
    assert not machine.real("/etc/modelgrid").exists()
    left = [path for path in machine.root.rglob("*") if "modelgrid" in path.name]
    assert left == []


def assert_current_is_whole(machine: Machine, allowed: Sequence[Sequence[Artifact]]) -> None:
    """The current generation is there and one of *allowed*; every generation that has a number is whole."""
    generations = Generations(machine.files, machine.layout)
    number = generations.current()
    assert number in generations.numbers()
    assert number is not None
    assert {found: generations.problems(found) for found in generations.numbers() if generations.problems(found)} == {}
    assert generations.read(number) in [tuple(sorted(tree)) for tree in allowed]
