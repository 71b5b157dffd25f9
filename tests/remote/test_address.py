"""Addresses of other hosts, and what ssh is started with for them."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.errors import UsageError
from modelgrid.remote.address import NO_MODELGRID, NO_SUDO, Address, parse_address, ssh_argv
from tests.requirements import require_tools

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://gpu01", Address(host="gpu01")),
        ("ssh://ada@gpu01.example.org:2222/", Address(host="gpu01.example.org", user="ada", port=2222)),
        ("ssh://root@[fe80::1%eth0]:22", Address(host="fe80::1%eth0", user="root", port=22)),
        ("ssh://10.0.0.7", Address(host="10.0.0.7")),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "gpu01",
        "http://gpu01",
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://-l@gpu01",
        "ssh://ada:secret@gpu01",
        "ssh://gpu01:0",
        "ssh://gpu01:65536",
        "ssh://gpu01/srv",
        "ssh://gpu01\n",
        "ssh://gpu 01",
        "ssh://$(reboot)",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no address of a host"):
        parse_address(text)


@given(st.text())
def test_no_part_of_an_address_is_an_option_of_ssh(text: str) -> None:
    try:
        address = parse_address(f"ssh://{text}")
    except UsageError:
        return
    argv = ssh_argv(address, as_root=True)
    assert argv[-3:-1] == ("--", address.host)
    assert not address.host.startswith("-")
    assert not address.user.startswith("-")
    # the command is the same for every host
    assert argv[-1] == ssh_argv(Address(host="x"), as_root=True)[-1]


def test_user_and_port_are_left_to_the_configuration_of_ssh_where_nobody_gave_them() -> None:
    assert not {"-l", "-p"} & set(ssh_argv(Address(host="gpu01"), as_root=False))
    argv = ssh_argv(Address(host="gpu01", user="ada", port=2222), as_root=False)
    assert argv[argv.index("-l") : argv.index("-l") + 4] == ("-l", "ada", "-p", "2222")


def test_ssh_itself_takes_the_arguments() -> None:
    require_tools("ssh")
    # -G: print the configuration that would be used, and end
    argv = ssh_argv(parse_address("ssh://ada@gpu01.example.org:2222"), as_root=True, program=shutil.which("ssh") or "")
    shown = subprocess.run([argv[0], "-G", "-F", "none", *argv[1:]], capture_output=True, text=True, check=True).stdout
    assert {"user ada", "hostname gpu01.example.org", "port 2222", "batchmode yes"} <= set(shown.splitlines())


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with a shell, and with an `id` that says who one is by the file beside it."""
    (tmp_path / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    program(tmp_path, "id", 'read n <"${0%/*}/uid"; echo "$n"')
    (tmp_path / "uid").write_text("1000\n", encoding="utf-8")
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def start(folder: Path, *, as_root: bool, shell: str = "sh") -> subprocess.CompletedProcess[str]:
    """Have *shell* run what ssh hands it, with the programs in *folder* alone."""
    require_tools(shell)
    # whoever has one installed there shall not find it
    command = ssh_argv(Address(host="x"), as_root=as_root)[-1].replace("/modelgrid", "/none")
    environment = {"PATH": str(folder), "HOME": str(folder)}
    return subprocess.run(
        [shutil.which(shell) or shell, "-c", command], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_where_there_is_no_modelgrid_the_exit_code_says_so(shell: str, programs: Path) -> None:
    assert start(programs, as_root=True, shell=shell).returncode == NO_MODELGRID


@pytest.mark.parametrize(
    ("as_root", "user", "said"),
    [(False, "1000", "self remote"), (True, "0", "self remote"), (True, "1000", "sudo -n {folder}/modelgrid remote")],
)
def test_sudo_is_used_by_who_is_not_root_and_only_where_root_is_needed(
    user: str, said: str, programs: Path, *, as_root: bool
) -> None:
    (programs / "uid").write_text(f"{user}\n", encoding="utf-8")
    program(programs, "modelgrid", 'echo self "$@"')
    program(programs, "sudo", 'echo sudo "$@"')
    assert start(programs, as_root=as_root).stdout == said.format(folder=programs) + "\n"


def test_where_sudo_is_needed_and_missing_the_exit_code_says_so(programs: Path) -> None:
    program(programs, "modelgrid", "echo self")
    ended = start(programs, as_root=True)
    assert (ended.returncode, ended.stdout) == (NO_SUDO, "")
