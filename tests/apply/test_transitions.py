from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.observe import plan
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.fakes import Machine
from tests.apply.test_planner import trees

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
