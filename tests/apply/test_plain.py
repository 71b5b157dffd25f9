"""Containers by plain services, and quadlets on a podman that follows no link to a folder of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.observe import plan
from modelgrid.apply.planning.plan import NetworkRemoval, Wave
from modelgrid.apply.planning.planner import make_plan
from modelgrid.apply.planning.units import Role, units_of
from modelgrid.apply.systemd import UnitState
from modelgrid.errors import HostError
from modelgrid.ir import Manager
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.equipment import equip
from tests.apply.trees import hosted, tree
from tests.emit import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.emit.artifact import Artifact
    from tests.apply.fakes import Machine

QUADLET_LINK = "/etc/containers/systemd/modelgrid"
UP = UnitState(load="loaded", active="active", sub="running")


def steps(desired: Sequence[Artifact], current: Sequence[Artifact]) -> list[tuple[str, str, str]]:
    found = make_plan(desired, current, dict.fromkeys(units_of(current), UP))
    return [
        (action.wave.value, action.verb.name.lower(), action.unit)
        for action in found.actions
        if "gateway" not in action.unit and "target" not in action.unit
    ]


@pytest.mark.parametrize("manager", [Manager.PODMAN, Manager.DOCKER])
def test_a_plain_service_needs_its_image_and_its_network(manager: Manager) -> None:
    units = units_of(hosted(manager))
    (model,) = (unit for unit in units.values() if unit.model)

    assert {units[name].role for name in model.needs} == {Role.IMAGE, Role.NETWORK}
    assert {unit.manager for unit in units.values() if unit.role in {Role.IMAGE, Role.NETWORK, Role.SERVICE}} == {
        manager
    }
    assert (model.program, model.container) == (manager.value, samples.ISOLATED.unit.removesuffix(".service"))
    assert model.runs_image == samples.ISOLATED_LAUNCH.image
    assert {unit.image for unit in units.values()} == {"", samples.ISOLATED_LAUNCH.image}
    assert {unit.network for unit in units.values()} == {"", "modelgrid"}


@pytest.mark.parametrize("manager", [Manager.PODMAN, Manager.DOCKER])
def test_images_are_pulled_first_and_everything_is_removed(machine: Machine, manager: Manager) -> None:
    machine.processes.podman = "podman version 4.3.1"
    wanted = hosted(manager)
    equip(machine, wanted)
    first = plan(wanted, machine.host())
    assert [action.unit.startswith("modelgrid-image-") for action in first.wave(Wave.PULL)] == [True]
    apply(wanted, machine.host())
    assert_runs(machine, wanted)
    assert plan(wanted, machine.host()).empty

    destroy(machine.host())

    assert_nothing_left(machine)
    said = "docker " if manager is Manager.DOCKER else ""
    assert machine.processes.networks_removed == [f"{said}modelgrid"]
    assert machine.processes.containers_removed == [f"{said}{samples.ISOLATED.unit.removesuffix('.service')}"]


@pytest.mark.parametrize("manager", list(Manager))
def test_a_network_that_changes_is_made_anew_between_stop_and_start(manager: Manager) -> None:
    before, after = hosted(manager), hosted(manager, subnet="10.99.0.0/16")
    found = steps(after, before)
    network = "modelgrid-network" if manager is Manager.QUADLET else f"modelgrid-{manager.value}-network"

    assert [wave for wave, _, _ in found] == ["before", "before", "run", "run"]
    # systemd knows which of one wave goes first
    assert set(found) == {
        ("before", "stop", samples.ISOLATED.unit),
        ("before", "stop", f"{network}.service"),
        ("run", "start", samples.ISOLATED.unit),
        ("run", "start", f"{network}.service"),
    }


@pytest.mark.parametrize(("old", "new"), [(a, b) for a in Manager for b in Manager if a is not b])
def test_a_container_that_another_program_makes_now_stops_by_the_one_of_before(old: Manager, new: Manager) -> None:
    before, after = hosted(old), hosted(new)
    found = steps(after, before)

    assert ("before", "stop", samples.ISOLATED.unit) in found
    assert ("run", "start", samples.ISOLATED.unit) in found
    (removed,) = make_plan(after, before, {}).networks
    # podman has one network of that name, whoever asks for it
    wave = Wave.AFTER if Manager.DOCKER in {old, new} else Wave.BEFORE
    program = "docker" if old is Manager.DOCKER else "podman"
    assert removed == NetworkRemoval(wave=wave, name="modelgrid", program=program)


def test_a_docker_that_is_missing_or_silent_is_told(machine: Machine) -> None:
    machine.processes.docker_stderr = "Cannot connect to the Docker daemon"
    with pytest.raises(HostError, match="Docker does not answer: Cannot connect"):
        apply(hosted(Manager.DOCKER), machine.host())
    machine.processes.missing = {"docker"}
    with pytest.raises(HostError, match="Docker is not installed"):
        apply(hosted(Manager.DOCKER), machine.host())


def test_a_plan_without_rights_does_not_ask_docker(machine: Machine) -> None:
    machine.processes.docker_stderr = "permission denied while trying to connect to the Docker daemon socket"
    assert not plan(hosted(Manager.DOCKER), machine.host()).empty


@pytest.mark.parametrize("manager", [Manager.PODMAN, Manager.DOCKER])
def test_a_local_image_is_asked_of_the_program_that_runs_it(machine: Machine, manager: Manager) -> None:
    machine.processes.missing_images = {samples.ISOLATED_LAUNCH.image}
    with pytest.raises(HostError, match=f"{manager.value} has no image"):
        apply(hosted(manager, pull=False), machine.host())


def test_an_older_podman_gets_a_link_for_each_quadlet(machine: Machine) -> None:
    machine.processes.podman, machine.systemd.follows_folders = "podman version 4.9.3", False
    wanted = tree(["a"], ["b"])
    apply(wanted, machine.host())
    assert_runs(machine, wanted)
    links = {path.name: str(path.readlink()) for path in machine.real("/etc/containers/systemd").iterdir()}
    assert links == {
        name: f"/etc/modelgrid/current/quadlets/{name}" for name in ("modelgrid-model-a.container", "modelgrid.network")
    }

    apply(tree(["c"], ["b"]), machine.host())
    assert_runs(machine, tree(["c"], ["b"]))
    rollback(machine.host())
    assert_runs(machine, wanted)
    destroy(machine.host())
    assert_nothing_left(machine)


def test_a_podman_that_is_upgraded_gets_the_one_link_and_loses_the_others(machine: Machine) -> None:
    machine.processes.podman, machine.systemd.follows_folders = "podman version 4.9.3", False
    wanted = tree(["a"])
    apply(wanted, machine.host())
    machine.facts()
    machine.processes.podman, machine.systemd.follows_folders = "podman version 5.4.2", True
    assert plan(wanted, machine.host()).links == (QUADLET_LINK,)

    apply(wanted, machine.host())

    assert machine.facts() == ["reload"]
    assert [path.name for path in machine.real("/etc/containers/systemd").iterdir()] == ["modelgrid"]
    machine.processes.podman, machine.systemd.follows_folders = "podman version 5.2.0", False
    apply(tree(["a", "c"]), machine.host())
    assert_runs(machine, tree(["a", "c"]))
    assert not machine.real(QUADLET_LINK).is_symlink()


def test_a_quadlet_of_another_is_in_the_way_of_a_link(machine: Machine) -> None:
    machine.processes.podman = "podman version 4.9.3"
    foreign = machine.real("/etc/containers/systemd/modelgrid.network")
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    with pytest.raises(HostError, match=r"in the way.*systemd/modelgrid\.network"):
        apply(tree(["a"]), machine.host())
    assert foreign.read_text() == "mine"
