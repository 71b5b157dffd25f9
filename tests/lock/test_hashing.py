from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from modelgrid.lock import hashing
from modelgrid.lock.hashing import UnhashableError, hash_path
from modelgrid.lock.values import LockedFile, LockedModel
from tests.requirements import require_linux


def locked(content: bytes) -> LockedFile:
    return LockedFile(size=len(content), sha256=hashlib.sha256(content).hexdigest())


def test_a_file_is_hashed_piece_by_piece(tmp_path: Path) -> None:
    content = os.urandom(3 * 1024**2 + 17)
    (tmp_path / "a.gguf").write_bytes(content)
    assert hash_path(tmp_path / "a.gguf") == LockedModel(files={"a.gguf": locked(content)})


def test_files_that_belong_together_are_hashed_together(tmp_path: Path) -> None:
    names = [f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    found = hash_path(tmp_path / names[1])
    assert found.files == {name: locked(name.encode()) for name in names}

    (tmp_path / names[2]).unlink()
    with pytest.raises(FileNotFoundError):
        hash_path(tmp_path / names[0])


def test_a_folder_is_all_its_files_but_the_hidden(tmp_path: Path) -> None:
    for name in ("config.json", "sub/weights.safetensors", ".git/config", ".cache", "sub/.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "link.bin").symlink_to("config.json")
    assert dict(hash_path(tmp_path).files) == {
        "config.json": locked(b"config.json"),
        "link.bin": locked(b"config.json"),
        "sub/weights.safetensors": locked(b"sub/weights.safetensors"),
    }


def test_what_holds_no_weights_is_refused(tmp_path: Path) -> None:
    require_linux()
    with pytest.raises(UnhashableError, match="has no file"):
        hash_path(tmp_path)
    with pytest.raises(FileNotFoundError):
        hash_path(tmp_path / "missing.gguf")
    with pytest.raises(UnhashableError, match="is no file"):
        hash_path(Path("/dev/null"))
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff.bin", os.O_CREAT))
    with pytest.raises(UnhashableError, match="not UTF-8"):
        hash_path(tmp_path)


def test_a_folder_that_is_none_of_weights_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_MOST_FILES", 2)
    for number in range(3):
        (tmp_path / str(number)).touch()
    with pytest.raises(UnhashableError, match="more than 2 files"):
        hash_path(tmp_path)


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"x" * 100)
    monkeypatch.setattr(hashing, "_PIECE", 10)
    real = hashlib.sha256

    class Growing:
        """A hash that, as a download would, lets the file grow while it is read."""

        def __init__(self) -> None:
            self.inner = real()

        def update(self, piece: bytes) -> None:
            if file.stat().st_size < 105:
                with file.open("ab") as stream:
                    stream.write(b"y")
            self.inner.update(piece)

    monkeypatch.setattr("modelgrid.lock.hashing.hashlib.sha256", Growing)
    with pytest.raises(UnhashableError, match="changed while it was read"):
        hash_path(file)
