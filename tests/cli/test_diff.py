"""`modelgrid diff` on a real git repository."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from modelgrid.cli import main
from tests.requirements import require_tools

ROOT = Path(__file__).parent.parent.parent
FACTS = (ROOT / "examples/hosts/cpu01.yaml").read_text(encoding="utf-8")

GRID = """\
version: 1
target: {facts: ../hosts/one.yaml}
models:
  chat:
    engine: llamacpp
    source: /srv/models/chat.gguf
    context: 4096
"""


def git(folder: Path, *arguments: str) -> None:
    identity = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, env=environment)


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration in a folder of a repository, committed, with its target's facts in another folder."""
    require_tools("git")
    file = tmp_path / "grids/modelgrid.yaml"
    for folder in ("grids", "hosts"):
        (tmp_path / folder).mkdir()
    file.write_text(GRID, encoding="utf-8")
    (tmp_path / "hosts/one.yaml").write_text(FACTS, encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    monkeypatch.chdir(tmp_path)
    return Path("grids/modelgrid.yaml")


def diff(grid: Path, capsys: pytest.CaptureFixture[str], *more: str, base: str = "HEAD") -> tuple[int, str, str]:
    code = main(["diff", str(grid), "--base", base, *more])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_no_change_is_exit_code_0(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = diff(grid, capsys)
    assert (code, "nothing changes" in out) == (0, True)


def test_a_change_shows_the_unit_and_is_exit_code_2(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid.write_text(GRID.replace("4096", "8192"), encoding="utf-8")
    code, out, _ = diff(grid, capsys)

    assert code == 2
    assert "~ modelgrid-model-chat.service  restarts  ($.models.chat grids/modelgrid.yaml:4:3)" in out
    assert '"… --ctx-size 4096 …" -> "… --ctx-size 8192 …"' in out or "4096" in out


def test_json_and_markdown_say_the_same(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid.write_text(GRID.replace("4096", "8192"), encoding="utf-8")
    code, out, _ = diff(grid, capsys, "--json")
    (unit,) = json.loads(out)["units"]
    assert (code, unit["unit"], unit["effect"]) == (2, "modelgrid-model-chat.service", "restart")
    assert unit["place"] == "grids/modelgrid.yaml:4:3"

    code, out, _ = diff(grid, capsys, "--markdown")
    assert code == 2
    assert "| `modelgrid-model-chat.service` | `chat` | changed | restarts |" in out


def test_the_base_has_its_own_facts(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = Path("hosts/one.yaml")
    changed = FACTS.replace("python: ", "python: /elsewhere")
    assert changed != FACTS
    facts.write_text(changed, encoding="utf-8")
    code, out, _ = diff(grid, capsys)
    assert (code, "/elsewhere" in out) == (2, True)

    # with facts given, both sides have them
    code, _, _ = diff(grid, capsys, "--facts", str(facts))
    assert code == 0


def test_the_working_tree_is_left_as_it_is(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid.write_text(GRID.replace("4096", "8192"), encoding="utf-8")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    diff(grid, capsys)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_where_the_base_has_no_file_all_is_new(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = grid.with_name("other.yaml")
    other.write_text(GRID, encoding="utf-8")
    code, out, err = diff(other, capsys)

    assert code == 2
    assert "HEAD has no grids/other.yaml: all of it is new" in err
    assert "+ modelgrid-model-chat.service" in out


def test_a_base_that_does_not_compile_is_reported_and_the_rest_shown(
    grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid.write_text(GRID.replace("llamacpp", "lamacpp"), encoding="utf-8")
    git(Path(), "commit", "--quiet", "--all", "--message", "bad")
    grid.write_text(GRID, encoding="utf-8")
    code, out, err = diff(grid, capsys)

    assert code == 2
    assert "HEAD:grids/modelgrid.yaml:5:13" in err
    assert "does not compile" in err
    assert "+ modelgrid-model-chat.service" in out


def test_a_configuration_with_faults_is_exit_code_1(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid.write_text(GRID.replace("llamacpp", "lamacpp"), encoding="utf-8")
    code, out, err = diff(grid, capsys)
    assert (code, out) == (1, "")
    assert "grids/modelgrid.yaml:5:13" in err


@pytest.mark.parametrize("base", ["nowhere", "--output=x", "HEAD:grids", "HEAD~7", ""])
def test_what_is_no_revision_is_one_sentence_and_exit_code_1(
    base: str, grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["diff", str(grid), f"--base={base}"])
    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "")
    assert "is no revision" in captured.err
    assert not Path("x").exists()


def test_a_base_may_be_a_file_or_a_compiled_tree(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = grid.with_name("other.yaml")
    other.write_text(GRID.replace("4096", "8192"), encoding="utf-8")
    assert diff(grid, capsys, base=str(other))[0] == 2
    assert main(["compile", str(grid), "-o", "out"]) == 0
    assert diff(grid, capsys, base="out")[0] == 0
    assert diff(other, capsys, base="out")[0] == 2


def test_links_in_the_repository_are_followed(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = grid.with_name("link.yaml")
    link.symlink_to(grid.name)
    git(Path(), "add", ".")
    git(Path(), "commit", "--quiet", "--message", "link")
    assert diff(link, capsys)[0] == 0


def test_outside_of_a_repository_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_tools("git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "facts.yaml").write_text(FACTS, encoding="utf-8")
    file = tmp_path / "modelgrid.yaml"
    file.write_text(GRID.replace("../hosts/one.yaml", "facts.yaml"), encoding="utf-8")
    code, _, err = diff(file, capsys)
    assert (code, "is in no git repository" in err) == (1, True)


def test_the_base_has_its_own_lock(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", str(grid), "-o", "out"]) == 0
    (image,) = Path("out/quadlets").glob("*.image")
    reference = next(
        line.partition("=")[2] for line in image.read_text(encoding="utf-8").splitlines() if line.startswith("Image=")
    )
    lock = grid.with_suffix(".lock")

    def write(digest: str) -> None:
        pinned = f"sha256:{digest * 64}"
        entry = {"digest": pinned, "architectures": {"amd64": {"digest": pinned, "size": 7}}}
        lock.write_text(json.dumps({"lock_version": 1, "images": {reference: entry}}), encoding="utf-8")

    write("a")
    git(Path(), "add", str(lock))
    git(Path(), "commit", "--quiet", "--message", "lock")
    assert diff(grid, capsys)[0] == 0
    write("b")
    code, out, _ = diff(grid, capsys)

    assert code == 2
    assert f"+ {reference}@sha256:{'b' * 64}" in out
    assert f"- {reference}@sha256:{'a' * 64}" in out


def test_the_base_has_its_own_greenlist(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    greenlist = grid.with_name("allowed.json")
    entries = {"version": "1.0", "models": [{"name": "chat", "container": "llamacpp", "minVram": 0}]}
    greenlist.write_text(json.dumps(entries), encoding="utf-8")
    grid.write_text(GRID + "greenlist: {source: allowed.json}\n", encoding="utf-8")
    git(Path(), "add", ".")
    git(Path(), "commit", "--quiet", "--message", "greenlist")
    greenlist.write_text(json.dumps({**entries, "models": []}), encoding="utf-8")

    code, out, err = diff(grid, capsys)
    assert (code, out) == (1, "")
    assert "allowed.json" in err
    grid.write_text(GRID, encoding="utf-8")
    assert diff(grid, capsys)[0] == 0
