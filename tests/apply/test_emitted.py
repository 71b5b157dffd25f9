"""What apply reads in units, it finds in those that emit writes: the golden trees, planned and applied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.execute import apply, destroy
from modelgrid.apply.observe import plan
from modelgrid.apply.planning.plan import Wave
from modelgrid.apply.planning.planner import make_plan
from modelgrid.apply.planning.units import Role, gateway_listen, units_of
from modelgrid.apply.systemd import Verb
from modelgrid.emit import emit
from modelgrid.emit.artifact import Artifact
from modelgrid.manifest import load_manifest
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.equipment import equip, take_away
from tests.emit import samples

if TYPE_CHECKING:
    from tests.apply.fakes import Machine

GOLDEN = Path(__file__).parent.parent / "golden"
TREES = sorted(path.name for path in GOLDEN.iterdir())


def golden(name: str) -> tuple[Artifact, ...]:
    folder = GOLDEN / name
    return tuple(
        Artifact(
            path=str(path.relative_to(folder)),
            content=path.read_text(encoding="utf-8"),
            mode=0o600 if path.name == "keys.json" else 0o644,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS"
    )


@pytest.mark.parametrize("name", TREES)
def test_every_model_has_a_unit_that_names_it(name: str) -> None:
    tree = golden(name)
    routes = load_manifest(next(item.content for item in tree if item.path == "routing.json")).routes
    serving = [unit for unit in units_of(tree).values() if unit.role is Role.SERVICE]
    assert {model for unit in serving for model in unit.models} == {route.model for route in routes}


@pytest.mark.parametrize("name", TREES)
def test_every_unit_of_a_model_is_wanted_but_those_on_demand(name: str) -> None:
    units = [unit for unit in units_of(golden(name)).values() if unit.role is Role.SERVICE and unit.model]
    assert units
    assert {unit.model for unit in units if not unit.wanted} == ({"coder", "writer"} if name == "ondemand" else set())


@pytest.mark.parametrize("name", TREES)
def test_the_gateway_says_where_it_listens(name: str) -> None:
    listen = gateway_listen(units_of(golden(name)))
    assert listen is not None
    assert listen.port > 0


@pytest.mark.parametrize("name", TREES)
def test_a_first_plan_starts_every_server_and_pulls_every_image(name: str) -> None:
    tree = golden(name)
    found = make_plan(tree, None, {})
    units = units_of(tree)
    started = {action.unit for action in found.actions if action.verb is Verb.START}
    assert {unit.name for unit in units.values() if unit.wanted or unit.role is Role.IMAGE} == started
    assert {action.unit for action in found.wave(Wave.PULL)} == {
        unit.name for unit in units.values() if unit.role is Role.IMAGE
    }
    assert all(action.origin for action in found.actions if action.model)


@pytest.mark.parametrize("name", TREES)
def test_a_golden_tree_is_applied_and_removed(machine: Machine, name: str) -> None:
    tree = golden(name)
    equip(machine, tree)
    apply(tree, machine.host())
    assert_runs(machine, tree)
    assert plan(tree, machine.host()).empty
    take_away(machine, tree)
    destroy(machine.host())
    assert_nothing_left(machine)


def test_another_placement_record_alone_makes_a_generation_and_touches_nothing(machine: Machine) -> None:
    tree = golden("ondemand")
    equip(machine, tree)
    apply(tree, machine.host())
    machine.facts()
    other = tuple(
        replace(item, content=item.content.replace('"reserve": 0', '"reserve": 1'))
        if item.path == "placement.json"
        else item
        for item in tree
    )
    outcome = apply(other, machine.host())

    assert [change.path for change in outcome.plan.files] == ["placement.json"]
    assert (outcome.generation, outcome.plan.actions, machine.facts()) == (2, (), ["reload"])
    assert_runs(machine, other)


def test_isolated_models_are_as_tight_as_the_defaults() -> None:
    assert make_plan(golden("llamacpp"), None, {}).relaxations == ()


def test_a_podman_without_image_files_pulls_all_the_same() -> None:
    new, old = (emit(replace(samples.FULL, podman=podman)) for podman in [(5, 8), (4, 7)])
    wanted, found = make_plan(new, None, {}), make_plan(old, None, {})

    assert found.images == wanted.images
    assert found.images
    assert {(action.unit, action.verb) for action in found.wave(Wave.PULL)} == {
        (action.unit, action.verb) for action in wanted.wave(Wave.PULL)
    }
    needs = {name: unit.needs for name, unit in units_of(old).items()}
    assert needs == {name: unit.needs for name, unit in units_of(new).items()}
