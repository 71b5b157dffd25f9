from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from modelgrid.host.cdi import device_names, main, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SPEC = {"cdiVersion": "0.6.0", "kind": "example.com/null", "devices": [{"name": "0"}, {"name": "all"}]}


def test_devices_of_json_and_yaml_specifications_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    (tmp_path / "b.yaml").write_text("kind: nvidia.com/gpu\ndevices:\n- name: GPU-1\n")
    assert device_names([tmp_path]) == {"example.com/null=0", "example.com/null=all", "nvidia.com/gpu=GPU-1"}


def test_files_that_are_no_specifications_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.yaml").write_text("- 1")
    (tmp_path / "notes.txt").write_text("kind: x")
    assert device_names([tmp_path, tmp_path / "missing"]) == frozenset()


def test_waiting_ends_when_the_device_appears(tmp_path: Path) -> None:
    timer = threading.Timer(0.2, lambda: (tmp_path / "late.json").write_text(json.dumps(SPEC)))
    timer.start()
    assert wait_for(["example.com/null=0"], timeout=30, folders=[tmp_path]) == ()
    timer.join()


def test_waiting_is_bounded_and_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["example.com/never=0", "--timeout", "0"]) == 1
    assert "no CDI specification names example.com/never=0" in capsys.readouterr().err
