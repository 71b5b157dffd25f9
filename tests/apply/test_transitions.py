from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.observe import plan
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.configs import compiled
from tests.apply.equipment import equip
from tests.apply.fakes import Machine
from tests.apply.test_planner import trees
from tests.apply.transitions import BASE, LIGHT, PAIRS, STEPS, Pair, listed, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.emit.artifact import Artifact


@settings(max_examples=25, deadline=None)
@given(st.lists(trees, min_size=1, max_size=4))
def test_every_way_from_tree_to_tree_ends_with_the_last_one_running(ways: Sequence[Sequence[Artifact]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        machine = Machine(Path(root))
        for desired in ways:
            apply(desired, machine.host())
            assert_runs(machine, desired)
            assert plan(desired, machine.host()).empty
        numbers = machine.files.listdir(machine.layout.generations)
        if len(numbers) > 1:
            rollback(machine.host(), to=1)
            assert_runs(machine, ways[0])
        destroy(machine.host())
        assert_nothing_left(machine)


def assert_happens(pair: Pair, before: str, folder: Path, machine: Machine) -> None:
    """The plan lists exactly what *pair* says, and exactly its jobs are queued; then there is nothing more to do."""
    desired = compiled(pair.of(before), folder).tree
    equip(machine, desired)
    machine.facts()
    found = plan(desired, machine.host())
    assert [
        f"{verb}" if queued else f"({verb})"
        for verb, queued in zip(listed(found.to_dict()), (action.queued for action in found.actions), strict=True)
    ] == list(pair.happens)
    apply(desired, machine.host())
    facts = (fact.split(" ") for fact in machine.facts() if fact != "reload")
    assert sorted(f"{verb} {short(unit)}" for verb, unit in facts) == pair.jobs
    assert plan(desired, machine.host()).empty


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_of_configurations_touches_exactly_these_units(name: str, machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    base = compiled(BASE, tmp_path / "config").tree
    equip(machine, base)
    apply(base, machine.host())
    assert_happens(PAIRS[name], BASE, tmp_path / "config", machine)


def test_every_step_of_a_long_way_touches_exactly_these_units(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    apply(compiled(LIGHT, tmp_path / "config").tree, machine.host())
    text = LIGHT
    for name, step in STEPS.items():
        try:
            assert_happens(step, text, tmp_path / "config", machine)
        except AssertionError as error:
            raise AssertionError(name) from error
        text = step.of(text)


def test_there_are_enough_pairs_and_steps() -> None:
    assert (len(PAIRS) >= 40, len(STEPS) >= 40) == (True, True)
