from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.machine.cache import REPOSITORY, cached, fetch

if TYPE_CHECKING:
    from pathlib import Path

BUILD = """
import sys
from tests.machine.cache import cached
entry = cached("thing", [sys.argv[1]], lambda path: path.write_text(sys.argv[1]))
print(entry, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELGRID_TEST_CACHE", str(tmp_path))
    return tmp_path


def other_run(text: str) -> subprocess.Popen[str]:
    """Another test run that uses the entry made from *text* until its stdin is closed."""
    argv = [sys.executable, "-c", BUILD, text]
    return subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def entries(cache: Path) -> set[str]:
    return {path.read_text(encoding="utf-8") for path in cache.iterdir() if path.suffix != ".lock"}


def test_entry_is_built_once(cache: Path) -> None:
    built: list[Path] = []

    def build(path: Path) -> None:
        built.append(path)
        path.write_text("a", encoding="utf-8")

    assert cached("thing", ["a"], build) == cached("thing", ["a"], build)
    assert len(built) == 1


def test_entry_that_failed_to_build_is_not_there(cache: Path) -> None:
    def build(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise ValueError(path)

    with pytest.raises(ValueError, match="partial"):
        cached("thing", ["a"], build)
    with other_run("a") as other:
        other.communicate()

    assert entries(cache) == {"a"}


def test_entry_that_failed_to_build_fails_at_once_the_next_time(cache: Path) -> None:
    tries: list[Path] = []

    def build(path: Path) -> None:
        tries.append(path)
        raise ValueError(path)

    for _ in range(2):
        with pytest.raises(ValueError, match="partial"):
            cached("thing", ["a"], build)
    assert len(tries) == 1


def test_what_cannot_be_fetched_is_named_with_the_reason() -> None:
    argv = ["sh", "-c", "echo one >&2; echo 'no route to mirror' >&2; exit 1"]
    with pytest.raises(pytest.skip.Exception, match=r"needs a moon: check the network; sh says: no route to mirror"):
        fetch(argv, what="a moon")


def test_older_entry_is_removed_unless_another_run_uses_it(cache: Path) -> None:
    with other_run("old") as old:
        assert old.stdout is not None
        assert old.stdout.readline()
        with other_run("new") as new:
            assert new.stdout is not None
            assert new.stdout.readline()
            assert entries(cache) == {"old", "new"}
            new.communicate()
        old.communicate()
    with other_run("newest") as newest:
        newest.communicate()

    assert entries(cache) == {"newest"}
