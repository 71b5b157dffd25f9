from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from modelgrid.forms.archive import File, Link, write_archive
from tests.forms.trees import read_archive


def test_entries_come_sorted_from_root_and_from_1970_after_their_folders() -> None:
    data = write_archive([Link(path="b/l", target="/x"), File(path="b/a/f", content=b"1", mode=0o600)])
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        members = archive.getmembers()

    assert [(member.name, member.mode) for member in members] == [
        *[("b", 0o755), ("b/a", 0o755), ("b/a/f", 0o600), ("b/l", 0o777)]
    ]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "root", "root", 0)}


def test_folders_of_the_system_are_left_as_they_are() -> None:
    with tarfile.open(
        fileobj=io.BytesIO(write_archive([File(path="usr/lib/systemd/system/a", content=b"")]))
    ) as archive:
        assert archive.getnames() == ["usr/lib/systemd/system/a"]


@given(length=st.one_of(st.integers(1, 300), st.sampled_from([99, 100, 101, 990, 1000])))
def test_long_paths_and_targets_come_back(length: int) -> None:
    path, target = f"folder/{'f' * length}", f"/{'é' * length}"

    assert read_archive(write_archive([File(path=path, content=b"x" * length), Link(path="l", target=target)])) == {
        path: b"x" * length,
        "l": target,
    }
