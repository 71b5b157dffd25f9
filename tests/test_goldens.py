"""Every example compiles to the tree that tests/golden/ keeps, byte for byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelgrid.cli import main

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/modelgrid.yaml"))
GOLDEN = Path(__file__).parent / "golden"
DEFAULT_FACTS = ROOT / "examples" / "hosts" / "cpu01.yaml"


def compiled(example: Path, output: Path) -> dict[str, bytes]:
    arguments = ["compile", str(example / "modelgrid.yaml"), "-o", str(output), "--strict"]
    if "facts:" not in (example / "modelgrid.yaml").read_text(encoding="utf-8"):
        arguments += ["--facts", str(DEFAULT_FACTS)]
    assert main(arguments) == 0
    return tree(output)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_compiles_to_its_golden_tree(example: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    output = tmp_path / "out"
    files = compiled(example, output)
    golden = GOLDEN / example.name
    if request.config.getoption("--update-goldens"):
        shutil.rmtree(golden, ignore_errors=True)
        shutil.copytree(output, golden)

    assert files == tree(golden), "run `make goldens` and review the diff"


def test_every_golden_has_its_example() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {example.name for example in EXAMPLES}


def test_compiling_twice_gives_the_same_bytes_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = ROOT / "examples" / "vllm"
    first = compiled(example, tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    assert compiled(example, tmp_path / "second") == first
