"""The clock of the host goes back a year between two changes: nothing is ordered by it."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.events import ApplyError
from modelgrid.apply.execute import apply, rollback
from modelgrid.apply.observe import list_generations, plan
from modelgrid.apply.store.retention import Retention
from tests.apply.checks import assert_runs
from tests.apply.equipment import equip, put_file
from tests.apply.test_secrets import CREDENTIAL, users
from tests.apply.trees import tree, unit_of

if TYPE_CHECKING:
    from modelgrid.apply.host import Host
    from tests.apply.fakes import Machine

FIRST, SECOND, THIRD = (tree({"a": size}, {"b": size}) for size in (1024, 2048, 4096))


def at(machine: Machine, year: int) -> Host:
    """The seams to a host whose clock shows *year*."""
    return dataclasses.replace(machine.host(), now=lambda: datetime(year, 1, 2, 3, 4, 5, tzinfo=UTC))


def test_a_clock_that_goes_back_changes_nothing_about_what_follows_what(machine: Machine) -> None:
    apply(FIRST, at(machine, 2027))
    outcome = apply(SECOND, at(machine, 2026))
    assert outcome.generation == 2
    assert_runs(machine, SECOND)
    assert plan(SECOND, at(machine, 2026)).empty
    found = list_generations(at(machine, 2026))
    assert [(item.number, item.created[:4], item.parent, item.current) for item in found] == [
        (1, "2027", None, False),
        (2, "2026", 1, True),
    ]
    assert rollback(at(machine, 2026)).generation == 1
    assert_runs(machine, FIRST)


def test_a_change_that_fails_after_the_clock_went_back_is_taken_back(machine: Machine) -> None:
    apply(FIRST, at(machine, 2027))
    machine.systemd.broken = {"--ctx-size 2048"}
    with pytest.raises(ApplyError, match="generation 1 runs again"):
        apply(SECOND, at(machine, 2026))
    machine.systemd.broken = set()
    assert_runs(machine, FIRST)
    assert apply(THIRD, at(machine, 2026)).generation == 2
    assert_runs(machine, THIRD)


def test_generations_are_removed_by_their_number_however_old_they_say_they_are(machine: Machine) -> None:
    for year, artifacts in zip((2027, 2026, 2025), (FIRST, SECOND, THIRD), strict=True):
        apply(artifacts, at(machine, year), retention=Retention(keep=2))
    assert [item.number for item in list_generations(at(machine, 2025))] == [2, 3]


def test_a_secret_that_is_older_than_the_one_before_is_another_all_the_same(machine: Machine) -> None:
    equip(machine, users())
    apply(users(), at(machine, 2027))
    real = put_file(machine, f"{CREDENTIAL}.new").replace(machine.real(CREDENTIAL))
    long_ago = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    os.utime(real, (long_ago, long_ago))
    assert [item.unit for item in plan(users(), at(machine, 2026)).actions] == [unit_of("c")]
