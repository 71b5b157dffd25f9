"""Every example compiles to the tree that tests/golden/ keeps, byte for byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelgrid.cli import main
from modelgrid.forms import FORMS, TREE
from tests.forms.trees import listing

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/modelgrid.yaml"))
GOLDEN = Path(__file__).parent / "golden"
FORM_GOLDEN = Path(__file__).parent / "golden-forms"
DEFAULT_FACTS = ROOT / "examples" / "hosts" / "cpu01.yaml"
NIXOS_FACTS = ROOT / "examples" / "hosts" / "nixos01.yaml"
#: One of containers with keys, and one of programs without.
FORM_EXAMPLES = ("native", "vllm")
OTHER_FORMS = [name for name in FORMS if name != TREE]


def compiled(example: Path, output: Path, form: str = TREE) -> dict[str, bytes]:
    arguments = ["compile", str(example / "modelgrid.yaml"), "-o", str(output), "--strict", "--as", form]
    if form == "nixos":
        arguments += ["--facts", str(NIXOS_FACTS)]
    elif "facts:" not in (example / "modelgrid.yaml").read_text(encoding="utf-8"):
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


@pytest.mark.parametrize("example", FORM_EXAMPLES)
@pytest.mark.parametrize("form", OTHER_FORMS)
def test_an_example_compiles_to_its_golden_form(
    form: str, example: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    files = reviewable(compiled(ROOT / "examples" / example, tmp_path / "out", form))
    golden = FORM_GOLDEN / form / example
    if request.config.getoption("--update-goldens"):
        shutil.rmtree(golden, ignore_errors=True)
        golden.mkdir(parents=True)
        for path, data in files.items():
            (golden / path).write_bytes(data)

    assert files == tree(golden), "run `make goldens` and review the diff"


def reviewable(files: dict[str, bytes]) -> dict[str, bytes]:
    """*files* with archives as text; the checksums, which are of the archives themselves, hold their bytes."""
    archives = {path: data for path, data in files.items() if path.endswith(".tar")}
    texts = {f"{path}.txt": listing(data).encode() for path, data in archives.items()}
    return {path: data for path, data in files.items() if path not in archives} | texts


def test_every_golden_form_has_its_form_and_example() -> None:
    assert {path.relative_to(FORM_GOLDEN).as_posix() for path in FORM_GOLDEN.glob("*/*")} == {
        f"{form}/{example}" for form in OTHER_FORMS for example in FORM_EXAMPLES
    }


def test_every_golden_has_its_example() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {example.name for example in EXAMPLES}


def test_compiling_twice_gives_the_same_bytes_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = ROOT / "examples" / "vllm"
    first = compiled(example, tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    assert compiled(example, tmp_path / "second") == first
