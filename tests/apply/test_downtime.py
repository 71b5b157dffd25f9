"""What clients of each model see of a change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.planning.downtime import Downtime, Service, downtimes
from modelgrid.apply.planning.plan import Handover
from modelgrid.apply.planning.planner import make_plan
from modelgrid.apply.planning.units import units_of
from tests.apply.configs import compiled
from tests.apply.test_planner import DOWN, UP

if TYPE_CHECKING:
    from pathlib import Path

    from modelgrid.apply.systemd import UnitState

BASE = """\
version: 1
models:
  chat: {engine: llamacpp, source: /srv/chat.gguf, context: 1024, start_timeout: 20s, replicas: 1}
  tool: {engine: llamacpp, source: /srv/tool.gguf, context: 1024}
"""
CHAT = "modelgrid-model-chat.service"


def foretold(after: str, folder: Path, *, state: UnitState = UP, took: float | None = 3.0) -> dict[str, Downtime]:
    old, new = compiled(BASE, folder).tree, compiled(after, folder).tree
    plan = make_plan(new, old, {**dict.fromkeys(units_of(old), UP), CHAT: state})
    return {item.model: item for item in downtimes(plan, new, old, {CHAT: took})}


def test_a_restart_takes_as_long_as_the_last_start_did_and_no_longer_than_it_may(tmp_path: Path) -> None:
    after = BASE.replace("1024, start", "2048, start")
    assert foretold(after, tmp_path) == {"chat": Downtime(model="chat", service=Service.DOWN, expected=3.0, bound=50.0)}
    assert foretold(after, tmp_path, took=None)["chat"].expected is None


def test_a_model_that_was_down_starts(tmp_path: Path) -> None:
    assert foretold(BASE, tmp_path, state=DOWN)["chat"].service is Service.STARTS


@pytest.mark.parametrize(
    ("old", "new", "model", "service"),
    [
        ("  tool:", "  other:", "tool", Service.STOPS),
        ("  tool:", "  other:", "other", Service.STARTS),
        ("models:", "gateway: {listen: '127.0.0.1:9000'}\nmodels:", "", Service.DOWN),
    ],
)
def test_what_comes_goes_or_serves_all(old: str, new: str, model: str, service: Service, tmp_path: Path) -> None:
    assert foretold(BASE.replace(old, new), tmp_path)[model].service is service


@pytest.mark.parametrize(
    ("kept", "service"),
    [(Handover.BESIDE, Service.GOES_ON), (Handover.HOLD, Service.HELD), (None, Service.DOWN)],
)
def test_how_its_requests_are_kept_says_what_clients_see(
    kept: Handover | None, service: Service, tmp_path: Path
) -> None:
    old, new = compiled(BASE, tmp_path).tree, compiled(BASE.replace("1024, start", "2048, start"), tmp_path).tree
    plan = make_plan(new, old, dict.fromkeys(units_of(old), UP))
    plan = replace(plan, actions=tuple(replace(action, handover=kept) for action in plan.actions))

    (found,) = downtimes(plan, new, old, {})
    assert (found.model, found.service) == ("chat", service)


@pytest.mark.parametrize("later", [0, 1])
def test_replicas_that_take_turns_go_on_as_a_model(later: int, tmp_path: Path) -> None:
    two = BASE.replace("replicas: 1", "replicas: 2")
    old, new = compiled(two, tmp_path).tree, compiled(two.replace("1024, start", "2048, start"), tmp_path).tree
    plan = make_plan(new, old, dict.fromkeys(units_of(old), UP))
    first, second = plan.actions
    plan = replace(plan, actions=(first, replace(second, batch=later)))

    (found,) = downtimes(plan, new, old, {})
    assert found.service is (Service.GOES_ON if later else Service.DOWN)
    # one of them alone is no downtime either
    (found,) = downtimes(replace(plan, actions=(first,)), new, old, {})
    assert found.service is Service.GOES_ON


def test_what_is_not_touched_is_not_listed(tmp_path: Path) -> None:
    assert foretold(BASE, tmp_path) == {}
    assert set(foretold(BASE.replace("1024, start", "2048, start"), tmp_path)) == {"chat"}
