from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.host import cdi
from modelgrid.host.cdi import device_names, main, missing, wait_for

if TYPE_CHECKING:
    from pathlib import Path

SPEC = {"cdiVersion": "0.6.0", "kind": "example.com/null", "devices": [{"name": "0"}, {"name": "all"}]}


def write_spec(folder: Path, name: str, edits: dict[str, Any], *, shared: dict[str, Any] | None = None) -> None:
    spec = {**SPEC, "devices": [{"name": "0", "containerEdits": edits}], "containerEdits": shared or {}}
    (folder / name).write_text(json.dumps(spec))


def test_devices_of_json_and_yaml_specifications_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    (tmp_path / "b.yaml").write_text("kind: nvidia.com/gpu\ndevices:\n- name: GPU-1\n")
    assert device_names([tmp_path]) == {"example.com/null=0", "example.com/null=all", "nvidia.com/gpu=GPU-1"}


@pytest.mark.parametrize("text", ["{", "- 1", "kind: x", "", "kind: x\ndevices: 7", "kind: x\ndevices: [a]", "\x00"])
def test_files_that_are_no_specifications_name_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.json").write_text(text)
    (tmp_path / "notes.txt").write_text(json.dumps(SPEC))
    assert device_names([tmp_path, tmp_path / "missing"]) == frozenset()


@pytest.mark.parametrize(
    "what", ["a node", "a node under another path", "a file of the driver", "what all devices get"]
)
def test_a_specification_that_is_older_than_the_driver_is_no_device_yet(tmp_path: Path, what: str) -> None:
    path = str(tmp_path / "present")
    edits: dict[str, Any] = {
        "a node": {"deviceNodes": [{"path": path}]},
        "a node under another path": {"deviceNodes": [{"path": "/dev/x", "hostPath": path}]},
        "a file of the driver": {"mounts": [{"hostPath": path, "containerPath": "/lib/x"}]},
        "what all devices get": {},
    }[what]
    write_spec(tmp_path, "a.json", edits, shared=None if edits else {"mounts": [{"hostPath": path}]})

    (clause,) = missing(["example.com/null=0"], [tmp_path])
    assert clause == f"the CDI specification of example.com/null=0 is out of date: there is no {path}"
    (tmp_path / "present").touch()
    assert missing(["example.com/null=0"], [tmp_path]) == ()


def test_a_node_that_podman_makes_by_its_numbers_need_not_be_there(tmp_path: Path) -> None:
    write_spec(tmp_path, "a.json", {"deviceNodes": [{"path": "/dev/none", "type": "c", "major": 1, "minor": 3}]})
    assert missing(["example.com/null=0"], [tmp_path]) == ()


def test_the_later_folder_counts_as_it_does_for_podman(tmp_path: Path) -> None:
    stale, fresh = tmp_path / "etc", tmp_path / "run"
    stale.mkdir()
    fresh.mkdir()
    write_spec(stale, "a.json", {"deviceNodes": [{"path": str(tmp_path / "gone")}]})
    write_spec(fresh, "a.json", {})
    assert missing(["example.com/null=0"], [stale, fresh]) == ()
    assert missing(["example.com/null=0"], [fresh, stale]) != ()


def test_a_device_node_is_waited_for_as_a_name_is(tmp_path: Path) -> None:
    node = tmp_path / "renderD128"
    assert missing([str(node)], []) == (f"there is no {node}",)
    node.touch()
    assert missing([str(node)], []) == ()


def test_waiting_ends_when_the_device_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdi, "_PATIENCE", 0.0)
    heard: list[tuple[str, ...]] = []
    timer = threading.Timer(0.2, lambda: (tmp_path / "late.json").write_text(json.dumps(SPEC)))
    timer.start()
    assert wait_for(["example.com/null=0"], timeout=30, folders=[tmp_path], on_wait=heard.append) == ()
    timer.join()
    assert heard == [("no CDI specification names example.com/null=0",)]


@pytest.mark.parametrize(
    ("device", "advice"),
    [
        ("nvidia.com/gpu=GPU-1", "systemctl restart nvidia-cdi-refresh"),
        ("amd.com/gpu=0", "amd-ctk cdi generate"),
        ("example.com/never=0", "the tool of the device's vendor"),
    ],
)
def test_waiting_is_bounded_and_one_line_says_what_is_missing_and_what_to_do(
    device: str, advice: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdi, "FOLDERS", ())
    assert main([device, "--timeout", "0"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"no GPU after 0 s: no CDI specification names {device}; ")
    assert advice in line


def test_a_node_that_does_not_come_is_the_drivers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["/dev/none", "/dev/null", "--timeout", "0"]) == 1
    assert capsys.readouterr().err == "no GPU after 0 s: there is no /dev/none; see that its driver is loaded\n"
