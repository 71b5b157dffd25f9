"""Compiled folders, read back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from modelgrid.cli import main
from modelgrid.cli.tree import is_tree, read_tree
from modelgrid.errors import ConfigError, UsageError
from modelgrid.ir import Scope
from tests.remote.hosts import FACTS

if TYPE_CHECKING:
    from pathlib import Path

GRID = "version: 1\nmodels: {chat: {engine: llamacpp, source: /srv/models/chat.gguf}}\n"
UNIT = "units/modelgrid-gateway.service"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return compiled(tmp_path)


def compiled(folder: Path, *more: str) -> Path:
    file = folder / "modelgrid.yaml"
    file.write_text(GRID, encoding="utf-8")
    facts = folder / "facts.yaml"
    facts.write_text(json.dumps(FACTS), encoding="utf-8")
    assert main(["compile", str(file), "--facts", str(facts), "-o", str(folder / "tree"), *more]) == 0
    return folder / "tree"


def test_a_tree_is_read_as_it_was_written(tree: Path) -> None:
    assert is_tree(str(tree))
    files = {item.path: item for item in read_tree(tree, scope=Scope.SYSTEM)}
    assert files[UNIT].content == (tree / UNIT).read_text(encoding="utf-8")
    assert files["keys.json"].mode == 0o600


def test_no_other_folder_and_no_file_is_a_tree(tree: Path) -> None:
    assert not is_tree(str(tree.parent))
    assert not is_tree(str(tree.parent / "modelgrid.yaml"))
    assert not is_tree("-")


def test_a_tree_that_is_not_whole_is_refused_by_the_name_of_the_file(tree: Path) -> None:
    def refusal() -> str:
        with pytest.raises(ConfigError) as caught:
            read_tree(tree)
        return caught.value.message

    text = (tree / UNIT).read_text(encoding="utf-8")
    (tree / UNIT).write_text(f"{text}# more\n", encoding="utf-8")
    assert f"{UNIT} was altered" in refusal()
    (tree / UNIT).unlink()
    assert f"{UNIT} is missing" in refusal()
    (tree / UNIT).write_text(text, encoding="utf-8")
    (tree / "units/other.service").touch()
    assert "units/other.service is not of it" in refusal()
    (tree / "units/other.service").unlink()
    (tree / UNIT).rename(tree.parent / "moved")
    (tree / UNIT).symlink_to(tree.parent / "moved")
    assert f"{UNIT} leads out of it" in refusal()


def test_checksums_cannot_name_a_file_elsewhere(tree: Path) -> None:
    (tree.parent / "other").write_text("x", encoding="utf-8")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    with (tree / "SHA256SUMS").open("a", encoding="utf-8") as file:
        file.write(f"{digest}  ../other\n")
    with pytest.raises(ConfigError, match=r"\.\./other"):
        read_tree(tree)


def test_a_tree_for_a_users_units_is_not_applied_to_the_system(tmp_path: Path) -> None:
    tree = compiled(tmp_path, "--user")
    assert read_tree(tree, scope=Scope.USER)
    with pytest.raises(UsageError, match="was compiled with --user"):
        read_tree(tree, scope=Scope.SYSTEM)
