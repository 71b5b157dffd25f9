"""What clients see while servers change: every step of the routes, and what runs at that moment."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply import execute, observe
from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.store.retention import Retention
from modelgrid.apply.systemd import Verb
from modelgrid.emit.artifact import Artifact
from modelgrid.errors import HostError
from modelgrid.manifest import Manifest, Route, Upstream, dump
from tests.apply.checks import assert_nothing_left
from tests.apply.fakes import Killed, Steps
from tests.apply.trees import GATEWAY, gateway, keys, target, unit_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.apply.fakes import Machine

STAND_IN = "modelgrid-standin-a.service"
SECOND_GATEWAY = "modelgrid-standin-gateway.service"


def program(slug: str, *, context: int, port: int, on_change: str = "") -> Artifact:
    said = f"OnChange={on_change}\n" if on_change else ""
    return Artifact(
        path=f"units/{unit_of(slug)}",
        content=(
            f"[Unit]\nPartOf=modelgrid.target\n\n[Service]\nType=exec\n"
            f"ExecStart=/usr/bin/server --ctx-size {context} --port {port}\n\n"
            f"[X-ModelGrid]\nModel={slug.partition('-')[0]}\nEndpoint=127.0.0.1:{port}\n{said}\n"
            "[Install]\nWantedBy=modelgrid.target\n"
        ),
    )


def grid(
    servers: Mapping[str, int], *, listen: int = 8080, comment: str = "", on_change: str = ""
) -> tuple[Artifact, ...]:
    """A tree of programs, by slug with their context: ``a-1`` and ``a-2`` are replicas of the model a."""
    ports = {slug: 20001 + number for number, slug in enumerate(sorted({"a", "b", "c", "a-1", "a-2"}))}
    by_model: dict[str, list[int]] = {}
    for slug in sorted(servers):
        by_model.setdefault(slug.partition("-")[0], []).append(ports[slug])
    routes = tuple(
        Route(
            model=model,
            aliases=(),
            engine="x",
            upstream_model=model,
            apis=("/v1/chat/completions",),
            upstreams=tuple(Upstream(host="127.0.0.1", port=port) for port in found),
            health_path="/health",
            fallback=(),
        )
        for model, found in sorted(by_model.items())
    )
    door = gateway(listen)
    door = replace(door, content=door.content.replace("Type=notify", f"Type=notify\nEnvironment=SAID={comment}"))
    routed = dump(Manifest(max_body=1, hold_time=60.0, hold_requests=10, routes=routes))
    items = [target(), door, keys(), Artifact(path="routing.json", content=routed)]
    items += [program(slug, context=size, port=ports[slug], on_change=on_change) for slug, size in servers.items()]
    return tuple(sorted(items))


@pytest.fixture
def served(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose gateways act by the live folder, with memory for a second server."""
    monkeypatch.setattr(observe, "has_memory_for_another", lambda host, unit: True)
    machine.with_gateways = True
    return machine


def begin(machine: Machine, servers: Mapping[str, int], *, on_change: str = "") -> None:
    apply(grid(servers, on_change=on_change), machine.host())
    machine.gateways_look()
    machine.facts()
    del machine.seen[:-1]


def routes(machine: Machine) -> list[dict[str, list[int]]]:
    """The ports of each model, in each manifest that the gateways saw."""
    return [
        {route["model"]: [item["port"] for item in route["upstreams"]] for route in json.loads(text)["routes"]}
        for text in machine.seen
    ]


def facts(machine: Machine) -> list[str]:
    return [item.replace("modelgrid-model-", "").replace(".service", "") for item in machine.facts()]


def nothing_is_left(machine: Machine) -> None:
    assert not any("standin" in name for name in machine.systemd.running)
    assert [path for path in machine.real("/run").rglob("*standin*") if path.is_file()] == []
    assert not machine.real("/run/modelgrid/routing.json").exists()
    assert not machine.real("/run/modelgrid/serving.json").exists()


def test_with_room_a_stand_in_answers_while_the_server_restarts(served: Machine) -> None:
    begin(served, {"a": 1, "b": 1})
    apply(grid({"a": 2, "b": 1}), served.host())
    assert facts(served) == [
        "reload",
        "start modelgrid-standin-a",
        "routes",
        "restart a",
        "routes",
        "stop modelgrid-standin-a",
        "reload",
    ]
    served.gateways_look()
    assert routes(served) == [
        {"a": [20001], "b": [20004]},
        {"a": [30000], "b": [20004]},
        {"a": [20001], "b": [20004]},
    ]
    nothing_is_left(served)


def test_without_room_its_requests_wait(served: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "has_memory_for_another", lambda host, unit: False)
    begin(served, {"a": 1, "b": 1})
    apply(grid({"a": 2, "b": 1}), served.host())
    assert facts(served) == ["reload", "routes", "restart a", "routes"]
    assert routes(served)[1:2] == [{"a": [], "b": [20004]}]
    nothing_is_left(served)


def test_replicas_take_turns(served: Machine) -> None:
    begin(served, {"a-1": 1, "a-2": 1})
    apply(grid({"a-1": 2, "a-2": 2}), served.host())
    assert [item for item in facts(served) if item.startswith("restart")] == ["restart a-1", "restart a-2"]
    assert all(found["a"] for found in routes(served))
    nothing_is_left(served)


def test_a_new_model_is_routed_when_it_is_ready(served: Machine) -> None:
    begin(served, {"a": 1})
    apply(grid({"a": 1, "b": 1}), served.host())
    assert facts(served) == ["reload", "start b", "routes"]
    assert [sorted(found) for found in routes(served)] == [["a"], ["a", "b"]]


def test_a_model_that_goes_away_is_drained_before_it_is_stopped(served: Machine) -> None:
    begin(served, {"a": 1, "b": 1})
    waits: list[int] = []
    host = served.host()

    def sleep(seconds: float) -> None:
        waits.append(len(served.systemd.facts))
        if len(waits) > 5:
            served.in_flight.clear()
        served.gateways_look()

    served.in_flight["127.0.0.1:20004"] = 2
    apply(grid({"a": 1}), replace(host, sleep=sleep))
    assert len(waits) > 5
    assert facts(served)[:2] == ["routes", "stop b"]
    nothing_is_left(served)


def test_the_gateway_restarts_beside_a_second_one(served: Machine) -> None:
    begin(served, {"a": 1})
    apply(grid({"a": 1}, comment="new"), served.host())
    assert [item for item in facts(served) if item != "routes"] == [
        "reload",
        f"start {SECOND_GATEWAY.removesuffix('.service')}",
        "stop modelgrid-gateway",
        "start modelgrid-gateway",
        f"stop {SECOND_GATEWAY.removesuffix('.service')}",
        "reload",
    ]
    assert "SAID=new" in served.systemd.running[GATEWAY]
    nothing_is_left(served)


def test_a_gateway_on_another_port_just_restarts(served: Machine) -> None:
    begin(served, {"a": 1})
    apply(grid({"a": 1}, listen=9090), served.host())
    assert "restart modelgrid-gateway" in facts(served)
    nothing_is_left(served)


def test_a_stand_in_that_does_not_come_up_leaves_the_old_server_untouched(served: Machine) -> None:
    begin(served, {"a": 1, "b": 1})
    served.systemd.broken = {"--ctx-size 2"}
    before = served.systemd.invocations[unit_of("a")]
    with pytest.raises(HostError, match=r"model a failed to start; generation 1 runs again"):
        apply(grid({"a": 2, "b": 1}), served.host())
    assert served.systemd.invocations[unit_of("a")] == before
    nothing_is_left(served)
    served.gateways_look()
    assert routes(served)[-1] == {"a": [20001], "b": [20004]}


def test_a_rollback_loses_no_request_either(served: Machine) -> None:
    begin(served, {"a": 1})
    apply(grid({"a": 2}), served.host())
    served.facts()
    rollback(served.host())
    assert "start modelgrid-standin-a" in facts(served)
    nothing_is_left(served)


def test_killed_anywhere_the_next_apply_leaves_no_stand_in(served: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    # the stage is no part of the live tree, and takes most of the time
    monkeypatch.setattr(execute, "check_stage", lambda host, artifacts: None)
    begin(served, {"a": 1, "b": 1})
    reached = 0
    for number in range(1, 400, 2):
        try:
            apply(grid({"a": 2 + number, "b": 1}, comment=str(number)), served.host(Steps(kill_at=number)))
        except Killed:
            reached = number
            apply(grid({"a": 2 + number, "b": 1}, comment=str(number)), served.host())
            nothing_is_left(served)
            assert f"--ctx-size {2 + number} " in served.systemd.running[unit_of("a")]
        else:
            break
    assert reached > 60


def test_killed_anywhere_destroy_leaves_no_stand_in(served: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "check_stage", lambda host, artifacts: None)
    for number in range(30, 130, 9):
        begin(served, {"a": 1, "b": 1})
        with contextlib.suppress(Killed):
            apply(grid({"a": 2, "b": 1}, comment="new"), served.host(Steps(kill_at=number)))
        destroy(served.host())
        served.gateways_look()
        nothing_is_left(served)
        assert_nothing_left(served)


@pytest.mark.parametrize("on_change", ["keep-old", "manual"])
def test_a_server_that_is_kept_goes_on_until_it_starts_again(served: Machine, on_change: str) -> None:
    begin(served, {"a": 1, "b": 1}, on_change=on_change)
    outcome = apply(grid({"a": 2, "b": 1}, on_change=on_change), served.host())
    assert facts(served) == ["reload"]
    assert [(item.unit, item.told) for item in outcome.plan.waiting] == [(unit_of("a"), on_change == "manual")]
    # it still waits when nothing else changes, and when something does
    again = observe.plan(grid({"a": 2, "b": 1}, on_change=on_change), served.host())
    assert again.empty
    assert [item.unit for item in again.waiting] == [unit_of("a")]
    apply(grid({"a": 3, "b": 1}, on_change=on_change), served.host(), retention=Retention(keep=1))
    assert [item.unit for item in observe.plan(grid({"a": 3, "b": 1}, on_change=on_change), served.host()).waiting]
    # and no longer once it has started by itself
    served.systemd.enqueue(Verb.RESTART, unit_of("a"))
    assert observe.plan(grid({"a": 3, "b": 1}, on_change=on_change), served.host()).waiting == ()


def test_a_server_that_is_kept_restarts_once_it_may(served: Machine) -> None:
    begin(served, {"a": 1}, on_change="keep-old")
    apply(grid({"a": 2}, on_change="keep-old"), served.host())
    served.facts()
    apply(grid({"a": 2}), served.host())
    assert "restart a" in facts(served)


def test_a_server_that_can_be_reloaded_is(served: Machine) -> None:
    begin(served, {"a": 1}, on_change="reload")
    apply(grid({"a": 2}, on_change="reload"), served.host())
    assert facts(served) == ["reload", "reload a"]
