from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.control import control_grid, control_model, start_at_boot, units_of_model
from modelgrid.apply.events import ApplyError
from modelgrid.apply.execute import apply
from modelgrid.apply.observe import status
from modelgrid.apply.store.files import locked
from modelgrid.apply.systemd import Verb
from modelgrid.errors import HostError, UsageError
from tests.apply.checks import assert_runs
from tests.apply.equipment import equip
from tests.apply.test_emitted import golden
from tests.apply.trees import GATEWAY, NETWORK, tree, unit_of

if TYPE_CHECKING:
    from tests.apply.fakes import Machine


def test_the_grid_is_stopped_and_started(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    control_grid(machine.host(), Verb.STOP)
    assert machine.systemd.running.keys() == {NETWORK}
    control_grid(machine.host(), Verb.START)
    assert_runs(machine, tree(["a"], ["b"]))


def test_starting_the_grid_tells_which_model_is_not_up(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    control_grid(machine.host(), Verb.STOP)
    machine.systemd.broken = {"[Container]"}
    with pytest.raises(ApplyError, match="model a:latest failed to start"):
        control_grid(machine.host(), Verb.START)
    assert {GATEWAY, unit_of("b")} <= machine.systemd.running.keys()


def test_one_model_is_restarted_by_its_name(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    machine.facts()
    assert [unit.name for unit in units_of_model(machine.host(), "b:latest")] == [unit_of("b")]
    assert control_model(machine.host(), "b:latest", Verb.RESTART) == unit_of("b")
    assert machine.facts() == [f"restart {unit_of('b')}"]


def test_nothing_is_started_or_stopped_while_another_process_changes_the_host(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.facts()
    host = machine.host()
    with locked(host.files, host.layout.lock):
        for control in (
            lambda: control_grid(machine.host(), Verb.STOP),
            lambda: control_model(machine.host(), "a:latest", Verb.STOP),
        ):
            with pytest.raises(HostError, match="another"):
                control()
    assert machine.facts() == []


def test_an_unknown_model_is_told_with_those_there_are(machine: Machine) -> None:
    artifacts = golden("ollama")
    equip(machine, artifacts)
    apply(artifacts, machine.host())
    with pytest.raises(UsageError, match="there is no model nope") as caught:
        units_of_model(machine.host(), "nope")
    assert "llama3:8b" in str(caught.value.hint)


def test_nothing_applied_is_told(machine: Machine) -> None:
    with pytest.raises(HostError, match="nothing is applied"):
        control_grid(machine.host(), Verb.START)
    with pytest.raises(HostError, match="nothing is applied"):
        start_at_boot(machine.host(), wanted=True)


def test_the_boot_is_switched_off_and_on(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    running = dict(machine.systemd.running)
    start_at_boot(machine.host(), wanted=False)
    assert not status(machine.host()).boots
    start_at_boot(machine.host(), wanted=True)
    assert status(machine.host()).boots
    assert machine.systemd.running == running
