from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from modelgrid.apply.store.files import FileSystem
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.layout import Layout
from modelgrid.emit import Artifact, emit
from modelgrid.emit.unitfile import config_hash, parse_unit
from modelgrid.errors import ConfigError, HostError, InternalError
from modelgrid.forms import FORMS, bootc, convert, places
from modelgrid.ir import Deployment, Scope
from tests.emit import samples
from tests.forms.trees import contents, form, read_archive

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = {name: sample for name, sample in samples.ALL.items() if sample.scope is Scope.SYSTEM}
NO_KEYS = replace(samples.FULL, gateway=replace(samples.GATEWAY, keys=()))
every_sample = pytest.mark.parametrize("deployment", SYSTEM.values(), ids=SYSTEM)


def test_folders_are_those_of_apply() -> None:
    layout = Layout.system()
    assert layout.quadlet_link.as_posix().lstrip("/") == places.QUADLET_FOLDER
    assert layout.unit_folder.as_posix().lstrip("/") == places.UNIT_FOLDER
    assert layout.current.as_posix().lstrip("/") == places.DATA_FOLDER


def test_the_tree_is_what_was_emitted() -> None:
    artifacts = emit(samples.FULL)
    files = convert(artifacts, "tree").files

    assert [(file.path, file.content.decode(), file.mode) for file in files] == [
        (item.path, item.content, item.mode) for item in artifacts
    ]


@pytest.mark.parametrize("name", [name for name in FORMS if name != "tree"])
def test_a_file_that_no_form_places_is_a_fault_of_ours(name: str) -> None:
    stray = Artifact(path="elsewhere/x", content="")
    with pytest.raises(InternalError, match="no form says where elsewhere/x lies"):
        convert([*emit(samples.FULL), stray], name, distribution="nixos")


@every_sample
def test_a_host_tree_has_every_file_and_a_link_for_each_wish(deployment: Deployment) -> None:
    artifacts = emit(deployment)
    found = read_archive(form(deployment, "host-tree")["modelgrid.tar"])
    links = {path: target for path, target in found.items() if isinstance(target, str)}

    assert {path: data.decode() for path, data in found.items() if isinstance(data, bytes)} == {
        **{f"etc/containers/systemd/modelgrid/{name}": text for name, text in contents(artifacts, "quadlets/").items()},
        **{f"etc/systemd/system/{name}": text for name, text in contents(artifacts, "units/").items()},
        **{f"etc/modelgrid/current/{name}": text for name, text in contents(artifacts, "").items()},
    }
    assert (
        links["etc/systemd/system/multi-user.target.wants/modelgrid.target"] == "/etc/systemd/system/modelgrid.target"
    )
    assert all(target.lstrip("/") in found for target in links.values())
    assert len(links) == sum("\n[Install]\n" in text for text in contents(artifacts, "units/").values())


def test_nothing_looks_for_drift_where_no_apply_was() -> None:
    found = read_archive(form(samples.MONITORED, "host-tree")["modelgrid.tar"])
    assert [path for path in found if "drift" in path] == []


def test_what_units_name_below_our_folder_is_there() -> None:
    found = read_archive(form(samples.FULL, "host-tree")["modelgrid.tar"])
    texts = [data.decode() for path, data in found.items() if isinstance(data, bytes) and path.endswith(".service")]
    named = {word for text in texts for word in text.replace(":", " ").split() if word.startswith("/etc/modelgrid/")}

    assert named == {"/etc/modelgrid/current/routing.json", "/etc/modelgrid/current/keys.json"}
    assert {path.lstrip("/") for path in named} <= found.keys()


@pytest.mark.parametrize(
    ("name", "file"),
    [("host-tree", "modelgrid.tar"), ("ignition", "modelgrid.ign"), ("butane", "modelgrid.bu")],
)
def test_a_form_with_keys_is_as_private_as_they_are(name: str, file: str) -> None:
    modes = [
        {item.path: item.mode for item in convert(emit(deployment), name).files}
        for deployment in (samples.FULL, NO_KEYS)
    ]
    assert modes == [{file: 0o600}, {file: 0o644}]


@pytest.mark.parametrize("name", ["nixos", "bootc"])
def test_keys_stay_out_of_what_others_can_read(name: str) -> None:
    artifacts = emit(samples.FULL)
    output = convert(artifacts, name, distribution="nixos")
    sha256 = samples.GATEWAY.keys[0].sha256.encode()

    (beside,) = [file for file in output.files if sha256 in file.content]
    assert (beside.path, beside.mode) == ("keys.json", 0o600)
    assert "/etc/modelgrid/current/keys.json, mode 0600" in output.notes[0]


@pytest.mark.parametrize("name", ["nixos", "bootc"])
def test_without_keys_the_empty_list_is_in_the_form(name: str) -> None:
    output = convert(emit(NO_KEYS), name, distribution="nixos")

    assert not [note for note in output.notes if "keys.json" in note]
    assert "keys.json" not in {file.path for file in output.files}
    assert any(b"modelgrid/current/keys.json" in file.content for file in output.files)


@every_sample
def test_ignition_has_every_file_and_unit(deployment: Deployment) -> None:
    artifacts = emit(deployment)
    config = json.loads(form(deployment, "ignition")["modelgrid.ign"])
    files = {item["path"]: (_decoded(item["contents"]["source"]), item["mode"]) for item in config["storage"]["files"]}
    units = {item["name"]: item for item in config["systemd"]["units"]}

    assert config["ignition"] == {"version": "3.3.0"}
    assert files == {
        f"/etc/{'modelgrid/current' if '/' not in item.path else 'containers/systemd/modelgrid'}/"
        f"{item.path.removeprefix('quadlets/')}": (item.content, item.mode)
        for item in artifacts
        if not item.path.startswith("units/")
    }
    assert {name: item["contents"] for name, item in units.items()} == contents(artifacts, "units/")
    assert {name for name, item in units.items() if item.get("enabled")} == {
        name for name, text in contents(artifacts, "units/").items() if "\n[Install]\n" in text
    }


@every_sample
@pytest.mark.parametrize(
    ("distribution", "variant"), [("flatcar", ("flatcar", "1.0.0")), ("fedora", ("fcos", "1.4.0"))]
)
def test_butane_says_the_same_as_ignition(deployment: Deployment, distribution: str, variant: tuple[str, str]) -> None:
    config = yaml.safe_load(form(deployment, "butane", distribution=distribution)["modelgrid.bu"])

    assert (config.pop("variant"), config.pop("version")) == variant
    assert _translated(config) == _with_texts(json.loads(form(deployment, "ignition")["modelgrid.ign"]))


def _translated(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "ignition": {"version": "3.3.0"}}


def _with_texts(config: dict[str, Any]) -> dict[str, Any]:
    for item in config["storage"]["files"]:
        item["contents"] = {"inline": _decoded(item["contents"]["source"])}
    return config


def _decoded(source: str) -> str:
    return b64decode(source.removeprefix("data:;base64,")).decode()


def test_nixos_is_for_nixos() -> None:
    with pytest.raises(ConfigError, match="a host with debian"):
        form(samples.FULL, "nixos", distribution="debian")


def test_nixos_restarts_what_changed() -> None:
    module = form(samples.FULL, "nixos", distribution="nixos")["modelgrid.nix"].decode()

    for name, text in contents(emit(samples.FULL), "quadlets/").items():
        if name.endswith(".container"):
            unit = name.replace(".container", ".service")
            assert f'path = "/run/systemd/generator/{unit}";' in module
            assert f"X-ModelGridConfigHash={config_hash(text)}" in module


def test_nixos_needs_no_podman_without_containers() -> None:
    module = form(samples.EMPTY, "nixos", distribution="nixos")

    assert b"virtualisation" not in module["modelgrid.nix"]


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_nixos_enables_the_engine_that_plain_units_run(engine: str) -> None:
    unit = Artifact(path="units/a.service", content=f"[Service]\nExecStart=/run/current-system/sw/bin/{engine} run x\n")
    output = convert([unit], "nixos", distribution="nixos")

    assert re.findall(r"virtualisation\.(\w+)\.enable", output.files[0].content.decode()) == [engine]
    assert output.notes == ()


def test_programs_that_nixos_lacks_are_named() -> None:
    text = (
        '[Container]\nExec=/usr/bin/serve\n[Service]\nExecStartPre=/bin/sh -c "! /usr/bin/podman x"\n'
        "ExecStop=-/bin/kill 1\n"
    )
    output = convert([Artifact(path="quadlets/a.container", content=text)], "nixos", distribution="nixos")

    assert output.notes == ("NixOS lacks /bin/kill, /usr/bin/podman, which units run: see that they are there",)


@every_sample
def test_bootc_binds_each_image_and_runs_containers_from_its_store(deployment: Deployment) -> None:
    found = read_archive(form(deployment, "bootc")["modelgrid.tar"])
    links = {path: target for path, target in found.items() if isinstance(target, str)}
    bound = [target for path, target in links.items() if path.startswith(bootc.BOUND_FOLDER)]
    images = {parse_unit(_text(found, target))["Image", "Image"] for target in bound}

    assert all(path.startswith("../") or path.lstrip("/") in found for path in links.values())
    for path, data in found.items():
        if not path.endswith(".container"):
            continue
        assert isinstance(data, bytes)
        unit = parse_unit(data.decode())
        (image,) = unit["Container", "Image"]
        store = unit.get(("Container", "GlobalArgs"), ())
        if image.startswith("localhost/"):
            assert store == ()
        else:
            assert (image,) in images
            assert store == ("--storage-opt=additionalimagestore=/usr/lib/bootc/storage",)
        assert unit["Container", "Pull"] == ("never",)


def _text(found: dict[str, str | bytes], path: str) -> str:
    data = found[path.lstrip("/")]
    assert isinstance(data, bytes)
    return data.decode()


def test_bootc_changes_nothing_else_of_a_container() -> None:
    before = contents(emit(samples.FULL), "quadlets/")
    found = read_archive(form(samples.FULL, "bootc")["modelgrid.tar"])

    for name, text in before.items():
        if name.endswith(".container"):
            after = _text(found, f"{bootc.QUADLET_FOLDER}/{name}")
            gone = set(text.split("\n")) - set(after.split("\n"))
            come = set(after.split("\n")) - set(text.split("\n"))
            assert gone == {
                next(line for line in text.split("\n") if line.startswith("Image=")),
                "# The image unit pulls, outside of the start timeout.",
            }
            assert {line.partition("=")[0] for line in come} == {"Image", "GlobalArgs"}


def test_bootc_binds_a_container_that_names_its_image_itself() -> None:
    artifacts = [
        Artifact(path="quadlets/a.container", content="[Container]\nImage=quay.io/a/b:1\n# kept\nPull=never\n")
    ]
    archive = {file.path: file.content for file in convert(artifacts, "bootc").files}["modelgrid.tar"]

    assert read_archive(archive) == {
        "usr/lib/bootc/bound-images.d/a.container": "/usr/share/containers/systemd/modelgrid/a.container",
        "usr/share/containers/systemd/modelgrid/a.container": (
            f"[Container]\nImage=quay.io/a/b:1\n{bootc.STORE}\n# kept\nPull=never\n".encode()
        ),
    }


def test_bootc_refuses_a_container_of_an_image_that_is_not_there() -> None:
    artifacts = [Artifact(path="quadlets/a.container", content="[Container]\nImage=b.image\n")]
    with pytest.raises(InternalError, match=r"names b\.image, which is not there"):
        convert(artifacts, "bootc")


def test_apply_does_not_take_over_a_host_that_an_image_looks_after(tmp_path: Path) -> None:
    (tmp_path / "etc/modelgrid/current").mkdir(parents=True)
    with pytest.raises(HostError, match="is not a link to a generation"):
        Generations(FileSystem(tmp_path), Layout.system()).current()
