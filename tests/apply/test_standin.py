"""A stand-in is its unit but for its name and where it answers."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from modelgrid.apply.handover.standin import is_standin, second_gateway, stand_in_for, standins_of
from modelgrid.apply.planning.units import Role, Unit, subnets_of, units_of
from modelgrid.emit.artifact import Artifact
from modelgrid.emit.names import hardware_address
from modelgrid.ports import split_address

GOLDENS = Path(__file__).parent.parent / "golden"


def golden_units(example: str) -> dict[str, Unit]:
    root = GOLDENS / example
    return dict(
        units_of(
            Artifact(path=str(path.relative_to(root)), content=path.read_text(encoding="utf-8"))
            for folder in ("quadlets", "units")
            for path in sorted((root / folder).glob("*"))
        )
    )


def servers() -> list[tuple[str, str]]:
    return [
        (example.name, name)
        for example in sorted(GOLDENS.iterdir())
        for name, unit in golden_units(example.name).items()
        if unit.role is Role.SERVICE and unit.address
    ]


@pytest.mark.parametrize(("example", "name"), servers())
def test_every_server_of_the_examples_has_one_that_differs_in_name_and_address_alone(example: str, name: str) -> None:
    units = golden_units(example)
    unit = units[name]
    taken = {item.address for item in units.values()}
    found = stand_in_for(unit, subnets=subnets_of(units.values()), taken=taken)
    if unit.values.get(("Service", "StateDirectory")):
        assert found is None
        return
    assert found is not None
    assert found.address not in taken
    assert is_standin(found.name)
    assert is_standin(found.artifact.path.rpartition("/")[2])
    old, new = split_address(unit.address), split_address(found.address)
    assert old is not None
    assert new is not None
    text = found.artifact.content
    if old[0] != new[0]:
        text = text.replace(hardware_address(new[0]), hardware_address(old[0])).replace(new[0], old[0])
    else:
        text = text.replace(str(new[1]), str(old[1]))
    own = found.name.removesuffix(".service")
    text = text.replace(own, name.removesuffix(".service"))
    body = unit.artifact.content.partition("\n[Install]\n")[0] + "\n"
    assert list(difflib.unified_diff(body.split("\n"), text.split("\n"), n=0)) == []
    # and nothing of the old place is left
    assert old[0] == new[0] or old[0] not in found.artifact.content
    assert f":{old[1]}" not in found.artifact.content or old[0] != new[0]


def test_two_have_two_addresses() -> None:
    units = golden_units("llamacpp")
    taken = {item.address for item in units.values()}
    found = []
    for unit in units.values():
        if unit.address:
            stand_in = stand_in_for(unit, subnets=subnets_of(units.values()), taken=taken)
            assert stand_in is not None
            taken.add(stand_in.address)
            found.append(stand_in.address)
    assert len(found) == len(set(found)) > 1


def test_a_port_that_is_not_said_in_a_known_way_has_none() -> None:
    content = "[Service]\nExecStart=/usr/bin/x 20001\n[X-ModelGrid]\nModel=a\nEndpoint=127.0.0.1:20001\n"
    unit = units_of([Artifact(path="units/modelgrid-model-a.service", content=content)])["modelgrid-model-a.service"]
    assert stand_in_for(unit, subnets=(), taken=()) is None


def test_a_number_that_is_no_port_stays() -> None:
    content = (
        "[Service]\nExecStart=/usr/bin/x --ctx-size 8192 --port 8192\n[X-ModelGrid]\nModel=a\nEndpoint=127.0.0.1:8192\n"
    )
    unit = units_of([Artifact(path="units/modelgrid-model-a.service", content=content)])["modelgrid-model-a.service"]
    found = stand_in_for(unit, subnets=(), taken=())
    assert found is not None
    assert "--ctx-size 8192 --port 30000\n" in found.artifact.content


def test_the_second_gateway_has_its_own_name_and_the_same_user_and_port() -> None:
    unit = golden_units("demo")["modelgrid-gateway.service"]
    text = second_gateway(unit).artifact.content
    assert "User=modelgrid-gateway\n" in text
    assert unit.value("Service", "ExecStart").replace("modelgrid-gateway", "modelgrid-standin-gateway") in text
    assert "[Install]" not in text


def test_stand_ins_are_known_by_their_files() -> None:
    names = [
        "modelgrid-standin-a.container",
        "modelgrid-standin-gateway.service",
        "other.container",
        ".modelgrid-x.new",
    ]
    assert standins_of(names) == ("modelgrid-standin-a.service", "modelgrid-standin-gateway.service")
