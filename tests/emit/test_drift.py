"""The timer that looks for drift: what it runs, how often, and what it may touch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelgrid.emit import emit
from modelgrid.emit.unitfile import parse_unit
from modelgrid.errors import ConfigError
from tests.emit import samples

if TYPE_CHECKING:
    from modelgrid.ir import Deployment


def units(deployment: Deployment = samples.MONITORED) -> dict[str, str]:
    return {item.path: item.content for item in emit(deployment) if "drift" in item.path}


def test_nobody_looks_unless_asked_to() -> None:
    assert units(samples.FULL) == {}


def test_the_timer_starts_with_the_grid_and_looks_as_often_as_asked() -> None:
    timer = parse_unit(units()["units/modelgrid-drift.timer"])
    assert timer[("Timer", "OnUnitActiveSec")] == ("900s",)
    assert timer[("Timer", "OnActiveSec")] == ("60s",)
    assert timer[("Install", "WantedBy")] == ("modelgrid.target",)
    often = replace(samples.MONITORED, monitor=replace(samples.MONITOR, every=5.0))
    assert parse_unit(units(often)["units/modelgrid-drift.timer"])[("Timer", "OnActiveSec")] == ("5s",)


def test_the_service_writes_metrics_into_the_folder_and_nowhere_else_but_where_podman_must() -> None:
    service = parse_unit(units()["units/modelgrid-drift.service"])
    (command,) = service[("Service", "ExecStart")]
    assert command.endswith('-P -m modelgrid status --drift --metrics "/var/lib/node exporter/modelgrid.prom"')
    assert service[("Service", "SuccessExitStatus")] == ("2",)
    assert service[("Service", "ReadWritePaths")] == (
        "-/run/containers -/run/libpod -/var/lib/containers",
        '"-/var/lib/node exporter"',
    )
    assert ("Install", "WantedBy") not in service


def test_without_a_folder_what_is_found_is_in_the_journal_alone() -> None:
    quiet = replace(samples.MONITORED, monitor=replace(samples.MONITOR, metrics=""))
    (command,) = parse_unit(units(quiet)["units/modelgrid-drift.service"])[("Service", "ExecStart")]
    assert command.endswith("status --drift")


def test_a_users_service_asks_about_the_users_units_and_has_no_sandbox() -> None:
    service = parse_unit(units(replace(samples.USER, monitor=samples.MONITOR))["units/modelgrid-drift.service"])
    assert "status --drift --user" in service[("Service", "ExecStart")][0]
    assert ("Service", "CapabilityBoundingSet") not in service


def test_a_folder_that_no_unit_can_name_is_refused_at_its_place() -> None:
    odd = replace(samples.MONITORED, monitor=replace(samples.MONITOR, metrics="/var/lib/a\nb"))
    with pytest.raises(ConfigError) as caught:
        emit(odd)
    assert caught.value.report is not None
    assert {item.path for item in caught.value.report} == {("monitor",)}
