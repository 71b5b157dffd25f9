from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.checks.hostchecks import check_host
from modelgrid.apply.execute import apply
from modelgrid.apply.observe import plan
from modelgrid.apply.store.files import FileSystem
from modelgrid.apply.store.layout import Layout
from modelgrid.errors import HostError
from modelgrid.ir import Manager
from tests.apply.trees import tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apply.fakes import Machine


def no_systemd(machine: Machine) -> None:
    machine.real("/run/systemd/system").rmdir()


def nixos(machine: Machine) -> None:
    machine.real("/etc/os-release").write_text('NAME=NixOS\nID="nixos"\n')


def nix_store(machine: Machine) -> None:
    folder = machine.real("/etc/systemd/system")
    (folder / "multi-user.target.wants").rmdir()
    folder.rmdir()
    folder.symlink_to("/nix/store/abc-system-units")


def no_podman(machine: Machine) -> None:
    machine.processes.missing = {"podman"}


def podman_of_debian_12(machine: Machine) -> None:
    machine.processes.podman = "podman version 4.3.1"


def on_nfs(machine: Machine) -> None:
    machine.real("/proc/self").mkdir(parents=True)
    machine.real("/proc/self/mountinfo").write_text(
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        "30 22 0:50 / /etc rw,relatime shared:2 - nfs4 server:/etc rw\n"
        "31 22 0:51 / /etc/other\\040place rw - tmpfs tmpfs rw\n"
    )


def on_overlay(machine: Machine) -> None:
    machine.real("/proc/self").mkdir(parents=True)
    machine.real("/proc/self/mountinfo").write_text("22 1 0:40 / / rw - overlay overlay rw,lowerdir=/a\n")


def no_generator(machine: Machine) -> None:
    machine.real("/usr/lib/systemd/system-generators/podman-system-generator").unlink()


def no_analyze(machine: Machine) -> None:
    machine.processes.missing = {"systemd-analyze"}


@pytest.mark.parametrize(
    ("spoil", "message", "hint"),
    [
        (no_systemd, r"not booted with systemd \(/run/systemd/system is missing\)", "modelgrid up"),
        (nixos, "NixOS builds /etc itself", "compile -o"),
        (nix_store, "NixOS builds /etc itself", "compile -o"),
        (no_podman, r"podman is not installed.* 4.4 or newer", "runtime: native"),
        (podman_of_debian_12, r"podman 4\.3\.1 is too old: these units need 4\.4 or newer", "anew"),
        (on_nfs, "/etc is on nfs4", "local file system"),
        (on_overlay, "/etc is on overlay", "local file system"),
        (no_generator, "generator for systemd .podman-system-generator. is missing", "podman package"),
        (no_analyze, "systemd-analyze is missing", "systemd package"),
    ],
)
def test_a_host_that_cannot_take_it_is_told_why_and_nothing_is_written(
    machine: Machine, spoil: Callable[[Machine], None], message: str, hint: str
) -> None:
    spoil(machine)
    before = machine.snapshot()
    with pytest.raises(HostError, match=message) as caught:
        apply(tree(["a"]), machine.host())
    assert caught.value.exit_code == 3
    assert hint in str(caught.value.hint)
    assert machine.snapshot() == before


@pytest.mark.parametrize("spoil", [no_podman, podman_of_debian_12, no_generator])
def test_programs_of_the_host_need_no_podman(machine: Machine, spoil: Callable[[Machine], None]) -> None:
    spoil(machine)
    assert apply(tree((), ["b"]), machine.host()).generation == 1


class ReadOnly(FileSystem):
    def writable(self, path: Path) -> bool:
        return not path.is_relative_to("/etc")


def test_a_read_only_etc_is_told_and_nothing_is_written(machine: Machine) -> None:
    host = replace(machine.host(), files=ReadOnly(machine.root))
    with pytest.raises(HostError, match=r"/etc cannot be written to .a read-only file system.") as caught:
        apply(tree(["a"]), host)
    assert "image" in str(caught.value.hint)


def test_a_plan_needs_no_rights_but_apply_does(machine: Machine) -> None:
    host = replace(machine.host(), user=1000)
    assert not plan(tree(["a"]), host).empty
    with pytest.raises(HostError, match="must be run as root") as caught:
        apply(tree(["a"]), host)
    assert "--user" in str(caught.value.hint)


def test_a_plan_without_rights_sees_by_their_hash_that_keys_do_not_change(machine: Machine) -> None:
    class Unreadable(FileSystem):
        def read(self, path: Path) -> bytes:
            if path.name == "keys.json":
                raise PermissionError(13, "Permission denied", str(path))
            return super().read(path)

    apply(tree(["a"], key_names=["team"]), machine.host())
    host = replace(machine.host(), user=1000, files=Unreadable(machine.root))
    assert plan(tree(["a"], key_names=["team"]), host).empty
    assert [item.path for item in plan(tree(["a"], key_names=["other"]), host).files] == ["keys.json"]


def test_units_of_a_user_need_a_running_manager_and_lie_below_the_home(machine: Machine) -> None:
    layout = Layout.user({"HOME": "/home/ann", "XDG_RUNTIME_DIR": "/run/user/1000"})
    assert layout.base == Path("/home/ann/.config/modelgrid")
    assert layout.unit_folder == Path("/home/ann/.config/systemd/user")
    assert layout.wants_link == Path("/home/ann/.config/systemd/user/default.target.wants/modelgrid.target")
    host = replace(machine.host(), layout=layout, user=1000)
    with pytest.raises(HostError, match=r"no systemd of user 1000 is running") as caught:
        check_host(host, managers=[Manager.QUADLET])
    assert "enable-linger" in str(caught.value.hint)
    machine.real("/run/user/1000/systemd").mkdir(parents=True)
    machine.real("/home/ann").mkdir(parents=True)
    check_host(host, managers=[Manager.QUADLET])


@pytest.mark.parametrize("environment", [{}, {"HOME": ""}, {"XDG_CONFIG_HOME": "relative"}])
def test_a_user_without_a_home_is_told(environment: dict[str, str]) -> None:
    with pytest.raises(HostError, match="names a folder"):
        Layout.user(environment)


def test_xdg_config_home_is_followed() -> None:
    assert Layout.user({"HOME": "/home/ann", "XDG_CONFIG_HOME": "/cfg"}).base == Path("/cfg/modelgrid")
