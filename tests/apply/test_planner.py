from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.apply.planning.plan import Change, NetworkRemoval, Wave
from modelgrid.apply.planning.planner import make_plan, with_joins
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.systemd import UnitState, Verb
from modelgrid.emit.artifact import Artifact
from tests.apply.trees import GATEWAY, NETWORK, TARGET, container, image_file, tree, unit_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UP = UnitState(load="loaded", active="active", sub="running")
DOWN = UnitState(load="loaded", active="inactive", sub="dead")
FAILED = UnitState(load="loaded", active="failed", sub="failed")
TRYING = UnitState(load="loaded", active="activating", sub="auto-restart")
LOADING = UnitState(load="loaded", active="activating", sub="start")
MASKED = UnitState(load="masked")

A, B = unit_of("a"), unit_of("b")


def all_up(artifacts: Sequence[Artifact]) -> dict[str, UnitState]:
    return dict.fromkeys(units_of(artifacts), UP)


def steps(
    desired: Sequence[Artifact], current: Sequence[Artifact] | None, states: Mapping[str, UnitState] | None = None
) -> list[str]:
    """The plan's jobs in short: ``run: restart UNIT``."""
    found = make_plan(desired, current, all_up(current or ()) if states is None else states)
    return [f"{action.wave.value}: {action.verb.name.lower()} {action.unit}" for action in found.actions]


def image_unit(reference: str) -> str:
    return f"{image_file(reference).removesuffix('.image')}-image.service"


TRANSITIONS: dict[str, tuple[Sequence[Artifact], Sequence[Artifact] | None, list[str]]] = {
    "the first": (
        tree(["a"]),
        None,
        [f"run: start {unit}" for unit in sorted((GATEWAY, A, TARGET))],
    ),
    "the same": (tree(["a"], ["b"]), tree(["a"], ["b"]), []),
    "a comment": (tree(["a"], comment="new"), tree(["a"], comment="old"), []),
    "an argument of a container": (tree({"a": 2}), tree({"a": 1}), [f"run: restart {A}"]),
    "an argument of a program": (tree((), {"b": 2}), tree((), {"b": 1}), [f"run: restart {B}"]),
    "a new model": (tree(["a"], ["b"]), tree(["a"]), [f"run: start {B}"]),
    "a new first container": (tree(["a"], ["b"]), tree((), ["b"]), [f"run: start {A}"]),
    "a model gone": (tree(["a"]), tree(["a"], ["b"]), [f"before: stop {B}"]),
    "the last container gone": (tree((), ["b"]), tree(["a"], ["b"]), [f"before: stop {A}", f"after: stop {NETWORK}"]),
    "from container to program": (
        tree((), ["a"]),
        tree(["a"]),
        [f"before: stop {A}", f"run: start {A}", f"after: stop {NETWORK}"],
    ),
    "routes": (tree(["a"], api="/v1/x"), tree(["a"]), [f"run: reload {GATEWAY}"]),
    "keys": (tree(["a"], key_names=["k"]), tree(["a"]), [f"run: reload {GATEWAY}"]),
    "routes and keys": (tree(["a"], api="/v1/x", key_names=["k"]), tree(["a"]), [f"run: reload {GATEWAY}"]),
    "the gateway's port": (tree(["a"], port=9), tree(["a"]), [f"run: restart {GATEWAY}"]),
    "the network": (
        tree(["a"], ["b"], subnet="10.9.0.0/16"),
        tree(["a"], ["b"]),
        [f"before: stop {A}", f"before: stop {NETWORK}", f"run: start {A}", f"run: start {NETWORK}"],
    ),
    "another image": (
        tree(["a"], pulled="x/y:2"),
        tree(["a"], pulled="x/y:1"),
        [f"pull: start {image_unit('x/y:2')}", f"run: restart {A}", f"after: stop {image_unit('x/y:1')}"],
    ),
}


@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_transition_touches_exactly_these_units(name: str) -> None:
    desired, current, expected = TRANSITIONS[name]
    expected = [step for step in expected if step != f"run: reload {GATEWAY}"] or expected
    # a tree with other models has other routes, which the gateway takes by itself
    found = [step for step in steps(desired, current) if step != f"run: reload {GATEWAY}" or step in expected]
    assert found == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (UP, []),
        (LOADING, []),
        (DOWN, [f"run: start {A}"]),
        (FAILED, [f"run: start {A}"]),
        (TRYING, [f"run: start {A}"]),
        (MASKED, []),
    ],
)
def test_an_unchanged_unit_is_started_where_it_is_down(state: UnitState, expected: list[str]) -> None:
    same = tree(["a"])
    assert steps(same, same, {**all_up(same), A: state}) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (UP, [f"run: restart {A}"]),
        (LOADING, [f"run: restart {A}"]),
        (DOWN, [f"run: start {A}"]),
        (FAILED, [f"run: start {A}"]),
        (MASKED, []),
    ],
)
def test_a_changed_unit_is_restarted_or_started(state: UnitState, expected: list[str]) -> None:
    desired, current = tree({"a": 2}), tree({"a": 1})
    found = steps(desired, current, {**all_up(current), A: state})
    assert found == expected


@pytest.mark.parametrize(("state", "stopped"), [(UP, True), (FAILED, True), (TRYING, True), (DOWN, False)])
def test_a_removed_unit_is_stopped_where_anything_of_it_is_left(state: UnitState, *, stopped: bool) -> None:
    desired, current = tree(["a"]), tree(["a"], ["b"])
    found = steps(desired, current, {**all_up(current), B: state})
    assert (f"before: stop {B}" in found) is stopped


def test_a_unit_that_is_not_wanted_is_not_started() -> None:
    current = tree(["a"])
    on_demand = tuple(
        replace(item, content=item.content.replace("[Install]\nWantedBy=modelgrid.target\n", ""))
        if item.path.endswith(".container")
        else item
        for item in current
    )
    assert steps(on_demand, on_demand, {**all_up(on_demand), A: DOWN}) == []


def test_reasons_name_the_key_and_both_values() -> None:
    found = make_plan(tree({"a": 8192}), tree({"a": 4096}), all_up(tree({"a": 1})))
    (action,) = found.actions
    assert action.reasons == ('Container.Exec changed from "--ctx-size 4096" to "--ctx-size 8192"',)
    assert (action.model, action.origin) == ("a:latest", '$.models["a:latest"]')


def test_reasons_of_what_depends_name_what_changed() -> None:
    changed = tree(["a"], subnet="10.9.0.0/16")
    found = make_plan(changed, tree(["a"]), all_up(changed))
    reasons = {action.unit: action.reasons for action in found.actions}
    assert reasons[A] == (f"{NETWORK} changed",)
    assert reasons[NETWORK] == ('Network.Subnet changed from "10.133.0.0/16" to "10.9.0.0/16"',)
    assert found.networks == (NetworkRemoval(wave=Wave.BEFORE, name="modelgrid"),)


def test_route_reasons_name_the_models() -> None:
    current, desired = tree(["a", "b"]), tree(["a"], ["c"])
    found = make_plan(desired, current, all_up(current))
    (reload,) = (action for action in found.actions if action.unit == GATEWAY)
    assert reload.reasons == ("route c:latest is new", "route b:latest is gone")


@pytest.mark.parametrize("suspect", [tree(["a"], key_names=["k"]), tree(["a"], api="/v1/x", key_names=["k"])])
def test_keys_of_an_interrupted_change_are_reloaded_even_if_routes_changed_since(suspect: Sequence[Artifact]) -> None:
    desired = tree(["a"], api="/v1/y")
    found = make_plan(desired, tree(["a"]), all_up(desired), suspects=[suspect])
    assert [(item.unit, item.verb.name, item.queued) for item in found.actions] == [(GATEWAY, "RELOAD", True)]


def test_files_images_and_unchanged_units_are_listed() -> None:
    current, desired = tree(["a"], pulled="x/y:1"), tree(["a"], ["b"], pulled="x/y:2")
    found = make_plan(desired, current, all_up(current))
    changes = {item.path: item.change for item in found.files}
    assert changes == {
        "quadlets/modelgrid-image-x-y-1.image": Change.REMOVE,
        "quadlets/modelgrid-image-x-y-2.image": Change.ADD,
        "quadlets/modelgrid-model-a.container": Change.ALTER,
        "routing.json": Change.ALTER,
        "units/modelgrid-model-b.service": Change.ADD,
    }
    assert [item.image for item in found.images] == ["x/y:2"]
    assert found.unchanged == (NETWORK, TARGET)


def test_relaxations_are_listed() -> None:
    loose = Artifact(
        path="quadlets/modelgrid-model-a.container",
        content="[Container]\nImage=localhost/x:1\nPublishPort=127.0.0.1:9:9\nAddCapability=SYS_ADMIN\n"
        "[X-ModelGrid]\nModel=a\n",
    )
    found = make_plan([loose], None, {})
    assert [(item.model, item.text) for item in found.relaxations] == [
        ("a", "has egress: it is on the default network of podman"),
        ("a", "may write to its root file system"),
        ("a", "keeps the capabilities that podman gives by default"),
        ("a", "has the capabilities SYS_ADMIN"),
        ("a", "may gain privileges by programs in its image"),
    ]
    assert make_plan(tree(["a"], ["b"]), None, {}).relaxations == ()


def test_a_file_that_someone_damaged_differs_from_every_other() -> None:
    current = tree(["a"])
    damaged = tuple(
        replace(item, content="rubbish\n") if item.path.endswith(".container") else item for item in current
    )
    assert steps(current, damaged, all_up(current)) == [f"run: restart {A}"]


def test_the_plan_is_json() -> None:
    data = make_plan(tree(["a"]), None, {}).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert {"action": "start", "unit": A, "model": "a:latest", "when": "run", "reasons": ["it is new"]}.items() <= next(
        item for item in data["actions"] if item["unit"] == A
    ).items()


models = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3), max_size=4)
trees = st.builds(
    tree,
    models,
    models.map(lambda found: {f"{slug}-native": size for slug, size in found.items()}),
    subnet=st.sampled_from(["10.1.0.0/16", "10.2.0.0/16"]),
    key_names=st.sampled_from([(), ("team",)]),
    pulled=st.sampled_from(["", "x/y:1", "x/y:2"]),
    comment=st.sampled_from(["", "words"]),
)


@given(trees)
def test_there_is_nothing_to_do_for_what_runs_already(artifacts: Sequence[Artifact]) -> None:
    assert make_plan(artifacts, artifacts, all_up(artifacts)).empty


@given(trees, trees)
def test_a_plan_stops_what_is_gone_and_starts_what_is_new(
    desired: Sequence[Artifact], current: Sequence[Artifact]
) -> None:
    found = make_plan(desired, current, all_up(current))
    verbs = {action.unit: action.verb.name for action in found.actions if action.wave is not Wave.BEFORE}
    stopped = {action.unit for action in found.actions if action.verb.name == "STOP"}
    wanted, had = units_of(desired), units_of(current)
    assert had.keys() - wanted.keys() <= stopped
    assert all(verbs[name] == "START" for name, unit in wanted.items() if name not in had and unit.wanted)
    assert {action.unit for action in found.actions} | set(found.unchanged) >= {
        name for name, unit in wanted.items() if unit.wanted
    }


def test_an_image_of_the_host_needs_no_unit() -> None:
    assert units_of([container("a")])[A].needs == {NETWORK}


def test_what_an_interrupted_change_left_starting_is_waited_for() -> None:
    desired = tree(["a"], ["b"])
    states = {**all_up(desired), A: LOADING, B: TRYING}
    found = with_joins(make_plan(desired, desired, states), units_of(desired), states)
    assert {action.unit: action.reasons for action in found.actions} == {
        A: ("it is still starting",),
        B: ("it failed",),
    }
    assert A not in found.unchanged


def test_a_unit_that_is_going_down_is_restarted_for_a_start_would_join_what_is_under_way() -> None:
    items = tree(["a"])
    states = dict.fromkeys(units_of(items), UP) | {
        unit_of("a"): UnitState(load="loaded", active="deactivating", sub="stop-sigterm")
    }
    assert [(action.verb, action.unit) for action in make_plan(items, items, states).actions] == [
        (Verb.RESTART, unit_of("a"))
    ]
