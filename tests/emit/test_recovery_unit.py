"""The unit that looks after an interrupted change at boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelgrid.emit.names import RECOVER
from modelgrid.emit.recovery import recovery
from modelgrid.ir import Scope
from tests.machine.rootfs import SUITES
from tests.tools import systemd_analyze_verify

RECORD = Path("/home/a b%/.config/modelgrid/state/pending.json")
PYTHON = "/opt/model grid/bin/python3"


def test_it_runs_where_a_record_is_there_before_everything_that_a_change_is_about() -> None:
    text = recovery(Scope.SYSTEM, "/opt/modelgrid/bin/python3", [Path("/a"), Path("/b")])
    assert "ConditionPathExists=|/a\nConditionPathExists=|/b\n" in text
    assert "ExecStart=/opt/modelgrid/bin/python3 -P -m modelgrid recover\n" in text
    assert "DefaultDependencies=no\n" in text
    assert "Before=basic.target modelgrid.target\n" in text


def test_a_users_is_for_their_own_units_and_takes_any_path() -> None:
    text = recovery(Scope.USER, PYTHON, [RECORD])
    assert "ConditionPathExists=|/home/a b%%/.config/modelgrid/state/pending.json\n" in text
    assert 'ExecStart="/opt/model grid/bin/python3" -P -m modelgrid recover --user\n' in text
    assert "sysinit.target" not in text


@pytest.mark.tools
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("scope", list(Scope))
def test_systemd_says_nothing_about_it(suite: str, scope: Scope, tmp_path: Path) -> None:
    units, none = tmp_path / "units", tmp_path / "none"
    units.mkdir()
    none.mkdir()
    (units / RECOVER).write_text(recovery(scope, PYTHON, [RECORD]), encoding="utf-8")
    # without quadlets, however few, a user's manager has no folder for its units
    result = systemd_analyze_verify(suite, units, quadlets=none, executables=[PYTHON], user=scope is Scope.USER)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
