"""``diff N M``: generations of a host against each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply import execute
from modelgrid.cli import generations, main
from tests.apply.fakes import Machine
from tests.apply.trees import tree, unit_of

if TYPE_CHECKING:
    from pathlib import Path

CHAT, SECOND = unit_of("chat"), unit_of("second")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A host with three generations: a second model comes, and then the first has a longer context."""
    machine = Machine(tmp_path)
    for models in ({"chat": 4096}, {"chat": 4096, "second": 4096}, {"chat": 8192, "second": 4096}):
        execute.apply(tree(models), machine.host())
    monkeypatch.setattr(generations, "this_host", lambda _: machine.host())
    return machine


def diff(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["diff", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_what_a_generation_changes_is_told_by_unit(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = diff(capsys, "1", "3")
    assert code == 2
    assert "1 -> 3" in out
    assert f"+ {SECOND}" in out
    assert f"~ {CHAT}  restarts" in out
    assert "8192" in out


def test_without_a_second_number_it_is_the_current_one(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = diff(capsys, "2", "--json")
    data = json.loads(out)
    assert (code, data["before"], data["after"]) == (2, 2, 3)
    assert [unit["unit"] for unit in data["units"]] == [CHAT]
    assert diff(capsys, "3")[0] == 0


def test_the_other_way_round_it_is_the_way_back(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = diff(capsys, "3", "1", "--markdown")
    assert code == 2
    assert f"| `{SECOND}` |" in out
    assert "removed" in out


def test_a_generation_that_was_altered_is_told(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (machine.root / "etc/modelgrid/generations/1/routing.json").write_text("{}\n", encoding="utf-8")
    assert "generations/1/routing.json was altered" in diff(capsys, "1", "2")[2]


def test_keys_that_differ_are_told_by_name(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    execute.apply(tree({"chat": 8192, "second": 4096}, key_names=["ada"]), machine.host())
    assert "ada" in diff(capsys, "3", "4")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("9", "1"), 3, "there is no generation 9"),
        (("1", "9"), 3, "there is no generation 9"),
        (("modelgrid.yaml",), 2, "diff compares a configuration with --base REV"),
        (("1", "x"), 2, "diff compares a configuration with --base REV"),
        ((), 2, "diff compares a configuration with --base REV"),
        (("1", "2", "--base", "main"), 2, "2 is one too many"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    arguments: tuple[str, ...], code: int, said: str, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    found, _, err = diff(capsys, *arguments)
    assert (found, said in err) == (code, True), err


def test_where_nothing_is_applied_the_second_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generations, "this_host", lambda _: Machine(tmp_path).host())
    code, _, err = diff(capsys, "1")
    assert (code, "there is no generation 1" in err) == (3, True)
