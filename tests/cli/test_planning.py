"""How a plan is laid out for people, and what of it tools get."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.apply.checks.problems import Problem, Refusal
from modelgrid.apply.events import ApplyError
from modelgrid.apply.execute import apply
from modelgrid.apply.observe import current_generation, plan
from modelgrid.apply.planning.outlook import Outlook, look_ahead
from modelgrid.apply.planning.plan import Plan, Pull
from modelgrid.cli.planning import (
    action_lines,
    downtime_lines,
    failure_data,
    image_lines,
    known_places,
    memory_lines,
    places,
    plan_data,
    told_places,
)
from modelgrid.errors import HostError
from tests.apply.configs import Compiled, compiled
from tests.apply.equipment import equip
from tests.apply.fakes import Machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelgrid.diagnostics import Location

BASE = """\
version: 1
gateway: {max_body: 64MiB, keys: [{name: team, sha256: SHA}]}
models:
  chat:
    engine: llamacpp
    source: /srv/models/chat.gguf
    context: 4096
    vram: 8GiB
    gpus: 1
  old:
    engine: llamacpp
    source: /srv/models/old.gguf
    gpus: 0
""".replace("SHA", "5e" * 32)
AFTER = BASE.replace("context: 4096", "context: 8192").replace("  old:", "  newer:").replace("64MiB", "32MiB")


class Planned:
    """A change of a machine, planned and not made."""

    def __init__(self, before: str, after: str, folder: Path) -> None:
        (folder / "root").mkdir()
        machine = Machine(folder / "root")
        old = compiled(before, folder).tree
        equip(machine, old)
        apply(old, machine.host())
        machine.systemd.took = {"modelgrid-model-chat.service": 11.8}
        self.after: Compiled = compiled(after, folder)
        equip(machine, self.after.tree)
        self.plan: Plan = plan(self.after.tree, machine.host())
        self.outlook: Outlook = look_ahead(self.plan, self.after.tree, machine.host())
        self.place: Callable[[str], Location | None] = places(self.after.checked.document)
        self.folder = folder

    def lines(self) -> list[str]:
        return [line.replace(f"{self.folder}/", "") for line in action_lines(self.plan, self.outlook, self.place)]


def test_every_unit_has_its_reason_with_key_values_and_line(tmp_path: Path) -> None:
    exec_ = 'Container.Exec: "… --ctx-size 4096 …" -> "… --ctx-size 8192 …"'
    assert Planned(BASE, AFTER, tmp_path).lines() == [
        "stop     modelgrid-model-old.service",
        "         because models.old is gone",
        "reload   modelgrid-gateway.service  modelgrid.yaml:2",
        "         because max_body: 64MiB -> 32MiB  modelgrid.yaml:2",
        "         because model newer can be asked for  modelgrid.yaml:10",
        "         because model old can no longer be asked for",
        "restart  modelgrid-model-chat.service  modelgrid.yaml:4",
        f"         because context: 4096 -> 8192  modelgrid.yaml:7  ({exec_})",
        "start    modelgrid-model-newer.service  modelgrid.yaml:10",
        "         because models.newer is new  modelgrid.yaml:10",
    ]


def test_downtime_and_memory_have_a_line_for_each_that_changes(tmp_path: Path) -> None:
    planned = Planned(BASE, AFTER.replace("8GiB", "16GiB"), tmp_path)

    assert downtime_lines(planned.outlook.downtimes) == [
        "chat   requests wait, for about 12s and at most 10m30s",
        "newer  starts, in at most 10m30s",
        "old    stops",
    ]
    assert memory_lines(planned.outlook.memory) == [
        "GPU 0  NVIDIA L4, 24GiB: 8GiB -> 16GiB from the start on, at most 8GiB -> 16GiB",
        "  chat: 8GiB -> 16GiB",
    ]


def test_what_does_not_change_has_no_line(tmp_path: Path) -> None:
    planned = Planned(BASE, BASE, tmp_path)

    assert planned.lines() == []
    assert downtime_lines(planned.outlook.downtimes) == []
    assert memory_lines(planned.outlook.memory) == []


def test_tools_get_the_same_with_places(tmp_path: Path) -> None:
    planned = Planned(BASE, AFTER, tmp_path)
    data = plan_data(planned.plan, planned.outlook, planned.place)
    by_unit: dict[str, Any] = {action["unit"]: action for action in data["actions"]}
    chat, gateway = by_unit["modelgrid-model-chat.service"], by_unit["modelgrid-gateway.service"]

    assert json.loads(json.dumps(data)) == data
    assert chat["settings"] == [
        {
            "path": "$.models.chat.context",
            "change": "alter",
            "before": 4096,
            "after": 8192,
            "place": {"file": str(tmp_path / "modelgrid.yaml"), "line": 7, "column": 14},
        }
    ]
    assert [key["key"] for key in chat["keys"]] == ["Container.Exec"]
    assert gateway["routing"][0]["text"] == "model newer can be asked for"
    assert {"model": "chat", "service": "goes on", "expected_s": 11.8, "bound_s": 630.0} in data["downtime"]
    assert [gpu["index"] for gpu in data["memory"]] == [0, 1]


def test_a_key_is_told_by_its_name_and_never_by_its_hash(tmp_path: Path) -> None:
    planned = Planned(BASE, BASE.replace("5e" * 32, "7a" * 32), tmp_path)
    text = "\n".join(planned.lines()) + json.dumps(plan_data(planned.plan, planned.outlook, planned.place))

    assert "because key team has another hash  modelgrid.yaml:2" in text
    assert "7a7a" not in text
    assert "5e5e" not in text


def test_a_failure_is_an_object_with_unit_model_result_and_log_lines(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    machine = Machine(tmp_path / "root")
    tree = compiled(BASE, tmp_path).tree
    equip(machine, tree)
    machine.systemd.broken = {"[Container]"}
    with pytest.raises(ApplyError) as caught:
        apply(tree, machine.host())
    data = failure_data(caught.value, generation=current_generation(machine.host()))

    assert json.loads(json.dumps(data)) == data
    assert (data["generation"], data["changed"]) == (None, False)
    assert "failed to start; nothing runs, as before" in data["error"]
    chat = next(item for item in data["failures"] if item["model"] == "chat")
    assert (chat["unit"], chat["result"]) == ("modelgrid-model-chat.service", "exit-code")
    assert chat["log"] == ["loading weights", "out of memory"]


def test_places_that_are_told_are_those_of_the_file(tmp_path: Path) -> None:
    planned = Planned(BASE, AFTER, tmp_path)
    known = known_places(planned.after.checked.document, planned.after.tree)
    told = told_places(json.loads(json.dumps(known)))

    def lines(place: Callable[[str], Location | None]) -> list[str]:
        return list(action_lines(planned.plan, planned.outlook, place))

    assert lines(told) == lines(planned.place)
    assert plan_data(planned.plan, planned.outlook, told) == plan_data(planned.plan, planned.outlook, planned.place)
    assert told("$.models.nobody") is None


def test_a_refusal_has_each_of_its_problems_for_tools() -> None:
    problems = [Problem(message="the port is taken", hint="free it"), Problem(message="no such device")]
    data = failure_data(Refusal(problems), generation=3)
    assert data["problems"] == [
        {"message": "the port is taken", "hint": "free it"},
        {"message": "no such device", "hint": None},
    ]
    assert data["generation"] == 3
    assert failure_data(HostError("no systemd"), generation=None)["problems"] == []


def test_an_image_says_what_is_pulled_of_it() -> None:
    pulls = (
        Pull(image="x/a:1", size=3 << 30, present=True),
        Pull(image="x/b:1", size=3 << 30, present=False),
        Pull(image="x/c:1", size=3 << 30),
        Pull(image="x/d:1", program="docker", present=False),
    )
    assert image_lines(Plan(images=pulls)) == [
        "x/a:1: is there",
        "x/b:1: 3GiB",
        "x/c:1: at most 3GiB",
        "x/d:1: of a size that no lock file tells, by docker",
    ]
