"""`plan -o PLAN` and `apply PLAN`, as commands, on a host that is a folder."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from modelgrid.cli import main
from modelgrid.host.facts import HostFacts
from tests.apply.configs import FACTS
from tests.apply.equipment import write_cdi
from tests.apply.fakes import Machine

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = f"""\
version: 1
gateway:
  keys: [{{name: team, sha256: {"5e" * 32}}}]
models:
  tool:
    engine: llamacpp
    runtime: native
    source: ./tool.gguf
    gpus: 0
    context: 1024
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "root").mkdir()
    machine = Machine(tmp_path / "root")
    write_cdi(machine, ["nvidia.com/gpu=all"])
    monkeypatch.setattr("modelgrid.cli.applying.this_host", lambda _scope: machine.host())
    monkeypatch.setattr("modelgrid.cli.applying.probe_host", lambda _programs=(): FACTS)
    return machine


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "modelgrid.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    (tmp_path / "tool.gguf").touch()
    return file


def test_a_kept_plan_is_for_its_owner_alone_and_does_what_was_shown(
    machine: Machine, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "plan.json"
    assert main(["plan", str(config), "-o", str(kept)]) == 2
    shown = capsys.readouterr()
    assert "start    modelgrid-model-tool.service" in shown.out
    assert f"modelgrid apply {kept}" in shown.err
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".plan")] == []

    assert main(["apply", str(kept)]) == 0
    assert "modelgrid-model-tool.service" in machine.systemd.running
    assert main(["plan", str(config), "-o", str(kept)]) == 0
    assert main(["apply", str(kept)]) == 0


def test_a_kept_plan_that_is_stale_ends_with_1_and_says_what_moved(
    machine: Machine, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "plan.json"
    main(["plan", str(config), "-o", str(kept)])
    config.write_text(CONFIG.replace("1024", "2048"), encoding="utf-8")
    before = machine.snapshot()
    capsys.readouterr()

    assert main(["apply", str(kept), "--json"]) == 1
    said = capsys.readouterr()
    assert f"{config} has changed" in said.err
    assert json.loads(said.out)["error"].startswith("the plan is no longer of use: ")
    assert machine.snapshot() == before


def test_a_host_that_changed_its_gpus_is_not_the_one_of_the_plan(
    machine: Machine, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "plan.json"
    main(["plan", str(config), "-o", str(kept)])
    fewer = HostFacts(system="linux", arch="x86_64", python=FACTS.python, gpus=FACTS.gpus[:1])
    monkeypatch.setattr("modelgrid.cli.applying.probe_host", lambda _programs=(): fewer)

    assert main(["apply", str(kept)]) == 1
    said = capsys.readouterr().err
    assert "podman was 5.4.2, and is none" in said
    assert "the set of GPUs was " in said
    assert machine.current() is None


def test_a_plan_is_kept_over_another_plan_and_over_nothing_else(
    machine: Machine, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "plan.json"
    for _ in range(2):
        assert main(["plan", str(config), "-o", str(kept)]) == 2
    assert main(["plan", str(config), "-o", str(config)]) == 2
    assert config.read_text(encoding="utf-8") == CONFIG
    assert "is there, and is no plan" in capsys.readouterr().err
    assert main(["plan", str(config), "-o", str(tmp_path)]) == 2
    assert machine.current() is None


def test_a_plan_that_was_altered_is_refused(
    machine: Machine, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "plan.json"
    main(["plan", str(config), "-o", str(kept)])
    kept.write_text(kept.read_text(encoding="utf-8").replace("1024", "9999"), encoding="utf-8")

    assert main(["apply", str(kept)]) == 1
    assert "was altered after it was made" in capsys.readouterr().err
    assert machine.current() is None


def test_a_plan_for_the_systems_units_is_not_one_for_a_users(
    machine: Machine, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "plan.json"
    main(["plan", str(config), "-o", str(kept)])

    assert main(["apply", str(kept), "--user"]) == 2
    assert "leave out --user" in capsys.readouterr().err
    assert machine.current() is None


def test_apply_in_json_has_an_object_for_a_fault_of_the_file_too(
    machine: Machine, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG.replace("context: 1024", "context: many"), encoding="utf-8")

    assert main(["apply", str(config), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["error"], said["generation"], said["failures"]) == ("1 error", None, [])
    assert [(item["path"], item["line"]) for item in said["diagnostics"]] == [("$.models.tool.context", 10)]
    assert machine.current() is None


def test_a_plan_is_for_one_host_and_not_for_those_over_ssh(
    machine: Machine, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "plan.json"
    main(["plan", str(config), "-o", str(kept)])

    assert main(["apply", str(kept), "--host", "ssh://root@nowhere.invalid"]) == 2
    assert "is a plan of this host" in capsys.readouterr().err
    assert machine.current() is None
