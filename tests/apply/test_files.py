from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.store.files import (
    FileSystem,
    Kind,
    locked,
    make_folder,
    remove_tree,
    replace_file,
    replace_link,
    walk,
    write_new,
)
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.layout import Layout
from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable


class Recording(FileSystem):
    """Records the order of the calls that durability hangs on."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: list[str] = []
        self._names: dict[int, str] = {}

    def open_new(self, path: Path, mode: int) -> int:
        descriptor = super().open_new(path, mode)
        self._names[descriptor] = path.name
        self.calls.append(f"new {path.name}")
        return descriptor

    def open_folder(self, path: Path) -> int:
        descriptor = super().open_folder(path)
        self._names[descriptor] = str(path)
        return descriptor

    def fsync(self, descriptor: int) -> None:
        super().fsync(descriptor)
        self.calls.append(f"fsync {self._names[descriptor]}")

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.calls.append(f"rename {target.name}")

    def symlink(self, target: str, path: Path) -> None:
        super().symlink(target, path)
        self.calls.append(f"symlink {path.name}")


def test_a_file_is_replaced_in_the_order_that_survives_a_power_cut(tmp_path: Path) -> None:
    files = Recording(tmp_path)
    replace_file(files, Path("/x.json"), b"1", 0o644)
    assert files.calls == ["new .x.json.new", "fsync .x.json.new", "rename x.json", "fsync /"]


def test_a_link_is_replaced_in_the_order_that_survives_a_power_cut(tmp_path: Path) -> None:
    files = Recording(tmp_path)
    replace_link(files, Path("/current"), "generations/2")
    assert files.calls == ["symlink .current.new", "fsync /", "rename current", "fsync /"]
    assert files.readlink(Path("/current")) == "generations/2"


@pytest.mark.parametrize(
    "replace", [lambda f, p: replace_file(f, p, b"2", 0o600), lambda f, p: replace_link(f, p, "2")]
)
def test_what_a_killed_process_left_beside_is_no_obstacle(
    tmp_path: Path, replace: Callable[[FileSystem, Path], None]
) -> None:
    files = FileSystem(tmp_path)
    (tmp_path / ".x.new").write_text("half")
    replace(files, Path("/x"))
    assert files.listdir(Path("/")) == ("x",)


def test_modes_are_as_asked_whatever_the_umask(tmp_path: Path) -> None:
    files = FileSystem(tmp_path)
    before = os.umask(0o077)
    try:
        make_folder(files, Path("/a/b"))
        write_new(files, Path("/a/b/open"), b"", 0o644)
        write_new(files, Path("/a/b/shut"), b"", 0o600)
    finally:
        os.umask(before)
    assert [files.permissions(Path(name)) for name in ("/a", "/a/b", "/a/b/open", "/a/b/shut")] == [
        0o755,
        0o755,
        0o644,
        0o600,
    ]


def test_a_new_file_follows_no_link_and_takes_no_name(tmp_path: Path) -> None:
    files = FileSystem(tmp_path)
    (tmp_path / "secret").write_text("keep")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    for name in ("/link", "/secret"):
        with pytest.raises(FileExistsError):
            write_new(files, Path(name), b"lost", 0o644)
    assert (tmp_path / "secret").read_text() == "keep"


def test_short_writes_are_finished(tmp_path: Path) -> None:
    class Slow(FileSystem):
        def write(self, descriptor: int, content: bytes) -> int:
            return super().write(descriptor, content[:3])

    write_new(Slow(tmp_path), Path("/x"), b"0123456789", 0o644)
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_descriptor_that_failed_is_closed_and_not_tried_again(tmp_path: Path) -> None:
    class Broken(FileSystem):
        syncs = 0
        closed: tuple[int, ...] = ()

        def fsync(self, descriptor: int) -> None:
            self.syncs += 1
            raise OSError(5, "Input/output error")

        def close(self, descriptor: int) -> None:
            self.closed += (descriptor,)
            super().close(descriptor)

    files = Broken(tmp_path)
    with pytest.raises(OSError, match="Input/output error"):
        write_new(files, Path("/x"), b"1", 0o644)
    assert files.syncs == 1
    assert len(files.closed) == 1


def test_removing_a_tree_follows_no_link(tmp_path: Path) -> None:
    files = FileSystem(tmp_path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model").write_text("10 GiB")
    (tmp_path / "tree/inner").mkdir(parents=True)
    (tmp_path / "tree/inner/link").symlink_to(tmp_path / "weights")
    assert list(walk(files, Path("/tree"))) == ["inner/link"]
    remove_tree(files, Path("/tree"))
    assert files.kind(Path("/tree")) is None
    assert files.kind(Path("/weights/model")) is Kind.FILE


def test_one_process_holds_the_lock_and_the_next_may_have_it(tmp_path: Path) -> None:
    files = FileSystem(tmp_path)
    with (
        locked(files, Path("/lock")),
        pytest.raises(HostError, match="another modelgrid is changing this host"),
        locked(files, Path("/lock")),
    ):
        pytest.fail("two at once")
    with locked(files, Path("/lock")):
        pass


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path: Path) -> None:
    files = FileSystem(tmp_path)
    with locked(files, Path("/lock")):
        files.unlink(Path("/lock"))
        # the file of that name is another one now, so this holds a lock of its own
        with locked(files, Path("/lock")):
            assert files.kind(Path("/lock")) is Kind.FILE


def test_a_link_is_not_current_before_btrfs_has_all_of_it(tmp_path: Path) -> None:
    class Btrfs(Recording):
        def read(self, path: Path) -> bytes:
            if path == Path("/proc/self/mountinfo"):
                return b"1 0 0:1 / / rw - btrfs /dev/vda rw\n"
            return super().read(path)

        def syncfs(self, descriptor: int) -> None:
            super().syncfs(descriptor)
            self.calls.append("syncfs")

    files = Btrfs(tmp_path)
    (tmp_path / "etc/modelgrid").mkdir(parents=True)
    generations = Generations(files, Layout.system())
    generations.switch(1)
    generations.switch(None)
    kinds = [call for call in files.calls if call == "syncfs" or "current" in call]
    assert kinds == ["syncfs", "symlink .current.new", "rename current", "syncfs", "syncfs", "syncfs"]
