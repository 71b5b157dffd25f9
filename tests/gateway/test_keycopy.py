from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from modelgrid.gateway.keycopy import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="its unit is systemd's")


def test_the_copy_is_whole_and_can_be_read_and_not_written(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "run" / "keys.json"
    target.parent.mkdir()
    for text in ("first", "second"):
        source.write_text(text)
        assert main([str(source), str(target)]) == 0
        assert (target.read_text(), target.stat().st_mode & 0o777) == (text, 0o444)
    assert [path.name for path in target.parent.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("name", ["keys.json", ".keys.json.new"])
def test_no_link_in_the_folder_is_followed(tmp_path: Path, name: str) -> None:
    """The folder belongs to the gateway's user, and the copy is made by root."""
    (tmp_path / "source").write_text("keys")
    (tmp_path / "run").mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "run" / name).symlink_to(victim)

    assert main([str(tmp_path / "source"), str(tmp_path / "run" / "keys.json")]) == 0
    assert victim.read_text() == "mine"
    assert (tmp_path / "run" / "keys.json").read_text() == "keys"
    assert not (tmp_path / "run" / "keys.json").is_symlink()


def test_what_it_cannot_do_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), str(tmp_path / "keys.json")]) == 1
    assert main(["one"]) == 2

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"cannot copy {tmp_path}/none to {tmp_path}/keys.json: No such file or directory"
    assert lines[1].startswith("usage:")
