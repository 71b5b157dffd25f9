"""What the systems that forms are for make of them: tar, systemd, Nix, Ignition, podman."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from modelgrid.emit import emit
from modelgrid.emit.unitfile import parse_unit
from modelgrid.forms import bootc, convert
from modelgrid.ir import Container, Manager, Scope
from tests.emit import reader, samples
from tests.emit.test_real_tools import EXECUTABLES, complaints, generated_units, option
from tests.forms.trees import contents, form, read_archive
from tests.machine.overlay import run_in_root
from tests.machine.rootfs import host_root
from tests.requirements import require_tools
from tests.tools import SUITES, quadlet_generator, systemd_analyze_verify

if TYPE_CHECKING:
    from pathlib import Path

    from modelgrid.ir import Deployment

pytestmark = pytest.mark.tools

SYSTEM = {name: sample for name, sample in samples.ALL.items() if sample.scope is Scope.SYSTEM}
every_sample = pytest.mark.parametrize("deployment", SYSTEM.values(), ids=SYSTEM)
every_suite = pytest.mark.parametrize("suite", SUITES)

#: Stands in for NixOS: what the module says, with the one function of nixpkgs that it calls as data.
EVALUATE = """
let
  pkgs.linkFarm = name: entries: { inherit name entries; };
  module = import MODULE { inherit pkgs; config = { }; lib = { }; options = { }; };
in
{
  keys = builtins.attrNames module;
  etc = builtins.mapAttrs (name: item: item.text) (module.environment.etc or { });
  inherit (module.systemd) units;
  packages = module.systemd.packages or [ ];
  podman = module.virtualisation.podman.enable or false;
}
"""


#: Builds the image on nothing; podman wants a place for its locks and to see control groups.
BUILD = """
set -e
for place in /var/tmp /dev/shm; do mount -t tmpfs tmpfs $place; done
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
podman --root /var/tmp/store --runroot /var/tmp/run --storage-driver vfs \\
    build --isolation chroot --build-arg BASE=scratch --output type=tar,dest=/var/tmp/out.tar /context >&2
base64 /var/tmp/out.tar
"""


def unpack(deployment: Deployment, name: str, folder: Path) -> Path:
    archive = folder / "modelgrid.tar"
    archive.write_bytes(form(deployment, name)["modelgrid.tar"])
    root = folder / "root"
    root.mkdir()
    require_tools("tar")
    done = subprocess.run(
        ["tar", "--extract", "--no-same-owner", "--file", archive, "--directory", root],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return root


@every_sample
def test_links_are_those_that_systemctl_enable_makes(deployment: Deployment, tmp_path: Path) -> None:
    require_tools("systemctl")
    root = unpack(deployment, "host-tree", tmp_path)
    units = root / "etc/systemd/system"
    ours = links(units)
    for path in ours:
        (units / path).unlink()
    names = [name for name, text in contents(emit(deployment), "units/").items() if "\n[Install]\n" in text]
    subprocess.run(["systemctl", f"--root={root}", "enable", *names], check=True, capture_output=True)

    assert ours == links(units)


def links(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) for path in folder.rglob("*") if path.is_symlink()
    }


def test_tar_keeps_the_keys_private(tmp_path: Path) -> None:
    root = unpack(samples.FULL, "host-tree", tmp_path)

    assert (root / "etc/modelgrid/current/keys.json").stat().st_mode & 0o777 == 0o600


@every_sample
def test_nix_has_every_text_as_it_was_emitted(deployment: Deployment, tmp_path: Path) -> None:
    require_tools("nix-instantiate")
    module = tmp_path / "modelgrid.nix"
    module.write_bytes(form(deployment, "nixos", distribution="nixos")["modelgrid.nix"])
    argv = ["nix-instantiate", "--eval", "--strict", "--json", "--expr", EVALUATE.replace("MODULE", str(module))]
    done = subprocess.run(argv, check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    artifacts = emit(deployment)
    quadlets = contents(artifacts, "quadlets/")

    assert said["etc"] == {
        **{f"containers/systemd/modelgrid/{name}": text for name, text in quadlets.items()},
        **{
            f"modelgrid/current/{name}": text
            for name, text in contents(artifacts, "").items()
            if name in {"placement.json", "routing.json", "settings.json"}
        },
    }
    plain = {name: unit for name, unit in said["units"].items() if "overrideStrategy" not in unit}
    assert {name: unit["text"] for name, unit in plain.items()} == contents(artifacts, "units/")
    for name, unit in plain.items():
        wanted = parse_unit(contents(artifacts, "units/")[name]).get(("Install", "WantedBy"), ())
        assert tuple(unit.get("wantedBy", ())) == wanted
    containers = [server.launch for server in deployment.servers if isinstance(server.launch, Container)]
    assert said["podman"] is any(launch.manager is not Manager.DOCKER for launch in containers)
    dropins = {name for name, unit in said["units"].items() if unit.get("overrideStrategy") == "asDropin"}
    entries = {entry["name"]: entry["path"] for package in said["packages"] for entry in package["entries"]}
    assert len(dropins) == len(quadlets)
    assert entries == {f"etc/systemd/system/{unit}": f"/run/systemd/generator/{unit}" for unit in dropins}


@every_sample
def test_ignition_takes_its_form_without_a_word(deployment: Deployment, tmp_path: Path) -> None:
    require_tools("ignition-validate")
    file = tmp_path / "modelgrid.ign"
    file.write_bytes(form(deployment, "ignition")["modelgrid.ign"])
    done = subprocess.run(["ignition-validate", str(file)], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_ignition_sees_a_fault(tmp_path: Path) -> None:
    require_tools("ignition-validate")
    file = tmp_path / "modelgrid.ign"
    file.write_bytes(form(samples.FULL, "ignition")["modelgrid.ign"].replace(b'"mode": 384', b'"mode": 99999'))
    done = subprocess.run(["ignition-validate", str(file)], check=False, capture_output=True, text=True)

    assert "illegal file mode" in done.stdout + done.stderr


@every_suite
@every_sample
def test_the_generator_runs_bound_images_from_their_store(suite: str, deployment: Deployment, tmp_path: Path) -> None:
    root = unpack(deployment, "bootc", tmp_path)
    quadlets = root / bootc.QUADLET_FOLDER
    quadlets.mkdir(parents=True, exist_ok=True)
    result = quadlet_generator(suite)(quadlets)
    units = {name: parse_unit(text) for name, text in generated_units(result.stdout).items()}

    # of nothing it says that there is nothing
    assert complaints(result.stderr) == []
    assert not [name for name in units if name.endswith("-image.service")]
    for unit in units.values():
        argv = reader.command(unit["Service", "ExecStart"][0].replace("%t/%N.cid", "CIDFILE"))
        if argv[1] == "network" or "localhost/llama:1" in argv:
            continue
        assert argv[1] == "--storage-opt=additionalimagestore=/usr/lib/bootc/storage"
        assert option(argv, "--pull") == ["never"]


@every_suite
@every_sample
def test_verify_is_silent_about_the_units_of_an_image(suite: str, deployment: Deployment, tmp_path: Path) -> None:
    root = unpack(deployment, "bootc", tmp_path)
    (root / bootc.QUADLET_FOLDER).mkdir(parents=True, exist_ok=True)
    # verify is given files, and finds what they want by itself
    units = tmp_path / "units"
    units.mkdir()
    for name, text in contents(emit(deployment), "units/").items():
        (units / name).write_text(text, encoding="utf-8")
    result = systemd_analyze_verify(suite, units, quadlets=root / bootc.QUADLET_FOLDER, executables=EXECUTABLES)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@every_suite
def test_podman_builds_the_layer(suite: str, tmp_path: Path) -> None:
    output = convert(emit(samples.FULL), "bootc")
    context = tmp_path / "context"
    context.mkdir()
    for file in output.files:
        (context / file.path).write_bytes(file.content)
    result = run_in_root([host_root(suite)], ["sh", "-c", BUILD], folders={"/context": context})
    assert result.returncode == 0, result.stderr

    built = read_archive(base64.b64decode(result.stdout))
    (archive,) = [file.content for file in output.files if file.path == "modelgrid.tar"]
    assert built == read_archive(archive)
