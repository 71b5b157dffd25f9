"""How each server is changed without losing a request, and when GPUs have no room for old and new at once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from modelgrid.apply.handover.decide import Surroundings, with_handovers
from modelgrid.apply.planning.plan import Handover
from modelgrid.apply.planning.planner import make_plan
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.systemd import UnitState, Verb
from modelgrid.emit.artifact import Artifact
from modelgrid.manifest import Manifest, Route, Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.apply.planning.plan import Action

UP = UnitState(load="loaded", active="active", sub="running")


def server(name: str, *, context: int = 1, port: int = 1, gpu: int | None = None, more: str = "") -> Artifact:
    """A program that serves *name*, on the one GPU with so many bytes."""
    claim = f"Claim=GPU-0 {gpu}\n" if gpu is not None else ""
    return Artifact(
        path=f"units/modelgrid-model-{name}.service",
        content=(
            f"[Unit]\n{more}PartOf=modelgrid.target\n"
            f"[Service]\nExecStart=/usr/bin/server --ctx {context} --port {port}\n"
            f"[X-ModelGrid]\nModel={name.partition('-')[0]}\nEndpoint=127.0.0.1:{port}\n{claim}[Install]\nWantedBy=modelgrid.target\n"
        ),
    )


def manifest(**ports: Sequence[int]) -> Manifest:
    empty = Route(
        model="", aliases=(), engine="", upstream_model="", apis=(), upstreams=(), health_path="", fallback=()
    )
    return Manifest(
        max_body=1,
        hold_time=60.0,
        hold_requests=10,
        routes=tuple(
            replace(empty, model=name, upstreams=tuple(Upstream(host="127.0.0.1", port=port) for port in found))
            for name, found in ports.items()
        ),
    )


def decided(
    old: Sequence[Artifact],
    new: Sequence[Artifact],
    routes: Manifest,
    *,
    room: int = 0,
    fits: bool = False,
    gateway: bool = True,
) -> Mapping[str, Action]:
    states = dict.fromkeys(units_of(old), UP)
    around = Surroundings(
        wanted=units_of(new),
        had=units_of(old),
        states=states,
        manifest=routes,
        gateway=gateway,
        room={"GPU-0": room} if room else {},
        fits_beside=lambda unit: fits,
    )
    plan = with_handovers(make_plan(new, old, states), around)
    return {action.unit.removeprefix("modelgrid-model-").removesuffix(".service"): action for action in plan.actions}


def test_with_room_on_the_gpu_a_stand_in_answers() -> None:
    found = decided([server("a", gpu=4)], [server("a", context=2, gpu=4)], manifest(a=[1]), room=8)
    assert found["a"].handover is Handover.BESIDE


def test_without_room_requests_wait() -> None:
    found = decided([server("a", gpu=4)], [server("a", context=2, gpu=4)], manifest(a=[1]), room=7)
    assert found["a"].handover is Handover.HOLD
    assert not found["a"].stop_first


def test_what_others_take_counts_as_the_most_of_before_and_after() -> None:
    old = [server("a", gpu=4), server("b", port=2, gpu=3)]
    new = [server("a", context=2, gpu=4), server("b", port=2, gpu=1)]
    assert decided(old, new, manifest(a=[1], b=[2]), room=11)["a"].handover is Handover.BESIDE
    assert decided(old, new, manifest(a=[1], b=[2]), room=10)["a"].handover is Handover.HOLD


def test_a_need_that_is_not_known_may_be_any() -> None:
    found = decided([server("a", gpu=0)], [server("a", context=2, gpu=0)], manifest(a=[1]), room=100)
    assert found["a"].handover is Handover.HOLD


def test_without_a_gpu_the_host_must_have_the_memory() -> None:
    old, new = [server("a")], [server("a", context=2)]
    assert decided(old, new, manifest(a=[1]), fits=True)["a"].handover is Handover.BESIDE
    assert decided(old, new, manifest(a=[1]), fits=False)["a"].handover is Handover.HOLD


def test_without_a_gateway_nobody_asks() -> None:
    found = decided([server("a")], [server("a", context=2)], manifest(a=[1]), fits=True, gateway=False)
    assert found["a"].handover is None


def test_replicas_take_turns_and_none_of_them_has_a_stand_in() -> None:
    old = [server("a-1"), server("a-2", port=2), server("a-3", port=3)]
    new = [server("a-1", context=2), server("a-2", context=2, port=2), server("a-3", context=2, port=3)]
    found = decided(old, new, manifest(a=[1, 2, 3]), fits=True)
    assert {name: (item.handover, item.batch) for name, item in found.items()} == {
        "a-1": (Handover.HOLD, 0),
        "a-2": (Handover.HOLD, 1),
        "a-3": (Handover.HOLD, 1),
    }


def test_what_shrinks_stops_before_what_grows_starts() -> None:
    old = [server("a", gpu=6), server("b", port=2, gpu=2)]
    new = [server("a", context=2, gpu=2), server("b", context=2, port=2, gpu=6)]
    found = decided(old, new, manifest(a=[1], b=[2]), room=8)
    assert all(item.stop_first and item.verb is Verb.RESTART for item in found.values())
    assert not any(item.stop_first for item in decided(old, new, manifest(a=[1], b=[2]), room=12).values())


def test_what_makes_room_for_a_new_one_stops_first() -> None:
    old = [server("a", gpu=8)]
    new = [server("a", context=2, gpu=2), server("b", port=2, gpu=6)]
    found = decided(old, new, manifest(a=[1], b=[2]), room=8)
    assert found["a"].stop_first
    assert found["b"].verb is Verb.START


def test_servers_that_take_turns_have_no_stand_in() -> None:
    more = "Conflicts=modelgrid-model-b.service\n"
    found = decided([server("a", more=more)], [server("a", context=2, more=more)], manifest(a=[1]), fits=True)
    assert found["a"].handover is Handover.HOLD


def test_one_that_goes_away_is_drained() -> None:
    found = decided([server("a")], [], manifest())
    assert (found["a"].verb, found["a"].handover) == (Verb.STOP, Handover.HOLD)


def test_the_plan_says_it() -> None:
    states = {"modelgrid-model-a.service": UP}
    old, new = [server("a")], [server("a", context=2)]
    around = Surroundings(
        wanted=units_of(new),
        had=units_of(old),
        states=states,
        manifest=manifest(a=[1]),
        gateway=True,
        fits_beside=lambda unit: True,
    )
    said = with_handovers(make_plan(new, old, states), around).to_dict()
    assert json.loads(json.dumps(said))["actions"][0]["handover"] == "beside"
