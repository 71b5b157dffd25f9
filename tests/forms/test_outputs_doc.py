"""The commands of docs/outputs.md do what stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from modelgrid.cli import main
from modelgrid.forms import FORMS, TREE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/outputs.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    modelgrid (compile .*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_writes_the_files_that_the_table_names(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modelgrid.yaml").write_text(
        (ROOT / "examples/native/modelgrid.yaml").read_text("utf-8"), encoding="utf-8"
    )
    shutil.copy(ROOT / "examples/hosts/cpu01.yaml", tmp_path / "host.yaml")
    shutil.copy(ROOT / "examples/hosts/nixos01.yaml", tmp_path / "nixos.yaml")
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(command)
    assert main(arguments) == 0

    form, folder = (arguments[arguments.index(option) + 1] for option in ("--as", "-o"))
    (row,) = re.findall(rf"^\| `{form}` \| (.*?) \|", TEXT, re.MULTILINE)
    assert {path.name for path in Path(folder).iterdir()} == {*re.findall("`(.+?)`", row), "SHA256SUMS"}


def test_every_form_has_a_row_and_a_command() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \|", TEXT, re.MULTILINE)) == set(FORMS)
    assert {command.split("--as ")[1].split()[0] for command in COMMANDS} == set(FORMS) - {TREE}


def test_only_the_tree_is_for_a_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, facts = ROOT / "examples/native/modelgrid.yaml", ROOT / "examples/hosts/cpu01.yaml"
    arguments = ["compile", str(file), "--facts", str(facts), "--user", "--as", "host-tree", "-o", str(tmp_path / "o")]

    assert main(arguments) == 2
    assert "--as host-tree is for the system's units" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
