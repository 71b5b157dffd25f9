"""``status`` as people and tools see it: what it prints, and its exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.execute import apply
from modelgrid.cli import main, status
from tests.apply.fakes import Machine
from tests.apply.trees import tree, unit_of

if TYPE_CHECKING:
    from pathlib import Path

B = unit_of("b")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr(status, "this_host", lambda scope: machine.host())
    return machine


@pytest.fixture
def applied(machine: Machine) -> Machine:
    apply(tree((), ["b"]), machine.host())
    return machine


def test_nothing_applied_is_nothing_amiss(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--drift"]) == 0
    assert "nothing is applied" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["status"], ["service", "status"]])
def test_a_unit_that_is_down_is_exit_code_2(
    applied: Machine, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main(command) == 0
    applied.systemd.running.pop(B)
    assert main(command) == 2
    assert "inactive (dead)" in capsys.readouterr().out


def test_a_mask_is_shown_as_such_and_is_drift_only(applied: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    applied.systemd.running.pop(B)
    applied.systemd.failed.add(B)
    applied.systemd.masked.add(B)
    assert main(["status"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(B)]
    assert "masked" in line
    assert "failed" not in line
    assert main(["status", "--drift"]) == 2


def test_drift_is_shown_with_its_word_and_what_mends_it(applied: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--drift"]) == 0
    assert "no drift" in capsys.readouterr().out
    applied.real(f"/etc/systemd/system/{B}").unlink()
    assert main(["status", "--drift"]) == 2
    shown = capsys.readouterr().out
    assert "link-missing" in shown
    assert "to mend it: apply makes it again" in shown


def test_json_has_drift_only_where_it_was_asked_for(applied: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    assert "drift" not in json.loads(capsys.readouterr().out)
    applied.systemd.running.pop(B)
    assert main(["status", "--json", "--drift"]) == 2
    shown = json.loads(capsys.readouterr().out)
    assert [item["kind"] for item in shown["drift"]] == ["not-running"]
    assert shown["unseen"] == []


def test_metrics_are_written_and_say_where_they_cannot_be(applied: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    applied.real("/var/lib/metrics").mkdir(parents=True)
    assert main(["status", "--metrics", "/var/lib/metrics/m.prom"]) == 0
    assert "modelgrid_drift_findings 0" in applied.real("/var/lib/metrics/m.prom").read_text()
    assert main(["status", "--metrics", "/var/lib/none/m.prom"]) == 3
    assert "cannot write the metrics to /var/lib/none/m.prom" in capsys.readouterr().err
