"""A login on a host, and each way in which it can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelgrid import __version__
from modelgrid.errors import HostError
from modelgrid.remote.address import Address
from modelgrid.remote.protocol import Output, Request
from modelgrid.remote.session import INTERRUPTED, Session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.remote.hosts import Hosts

GENERATIONS = Request(arguments=("generations", "--user"))


def failure(host: str) -> HostError:
    with Session(Address(host=host), as_root=False) as session, pytest.raises(HostError) as caught:
        session.open()
    return caught.value


@pytest.mark.parametrize(
    ("host", "message", "hint"),
    [
        ("down", "cannot log in: ssh: connect to host down port 22: No route to host", "ssh down true"),
        ("bare", "ModelGrid is not installed there", "/opt/modelgrid/bin/pip install"),
        ("plain", "this user is not root there, and there is no sudo", "log in as root"),
        ("locked", "may not become root there without a password (sudo: a password is required)", "NOPASSWD"),
        ("ancient", f"ModelGrid is an older version there and {__version__} here", "the same version"),
        ("future", f"ModelGrid is 9.0 there and {__version__} here", "the same version"),
        ("broken", "does not start there: ImportError: no module named pydantic", "by hand"),
    ],
)
def test_a_host_that_cannot_be_asked_is_one_sentence_and_a_hint(
    host: str, message: str, hint: str, hosts: Hosts
) -> None:
    error = failure(host)
    assert message in error.message
    assert hint in (error.hint or "")


def test_without_ssh_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ssh is missing" in failure("gpu01").message


def test_a_tree_is_not_sent_to_another_version(hosts: Hosts) -> None:
    with Session(Address(host="other"), as_root=False) as session:
        session.open()
        with pytest.raises(HostError, match=r"ModelGrid is 0\.0\.1 there"):
            session.require_same_version()


@pytest.mark.parametrize("host", ["here", "noisy"])
def test_a_command_runs_there_and_what_it_prints_comes_back(host: str, hosts: Hosts) -> None:
    lines: list[Output] = []
    with Session(Address(host=host), as_root=False) as session:
        session.open()
        session.require_same_version()
        assert session.run(GENERATIONS, lines.append) == 0
        assert session.run(Request(arguments=("generations", "--user", "--json")), lines.append) == 0
    assert lines == [
        Output(result=False, text="nothing is applied on this host"),
        Output(result=True, text="[]"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("check", "/etc/shadow"), 2, "this command is none for --host"),
        (("generations", "--moon"), 2, "unrecognized arguments: --moon"),
        (("rollback", "--user"), 3, "modelgrid:"),
    ],
)
def test_a_command_that_fails_there_has_its_code_and_message(
    arguments: tuple[str, ...], code: int, said: str, hosts: Hosts
) -> None:
    lines: list[Output] = []
    with Session(Address(host="here"), as_root=False) as session:
        session.open()
        assert session.run(Request(arguments=arguments), lines.append) == code
    assert said in "\n".join(line.text for line in lines if not line.result)


def test_a_connection_that_is_lost_says_what_ssh_said(hosts: Hosts) -> None:
    with Session(Address(host="lost"), as_root=False) as session:
        session.open()
        with pytest.raises(HostError, match=r"the connection was lost: Connection reset by peer"):
            session.run(GENERATIONS, lambda _: None)


def test_after_an_interrupt_nothing_begins(hosts: Hosts) -> None:
    lines: list[Output] = []
    with Session(Address(host="here"), as_root=False) as session:
        session.open()
        session.interrupt()
        assert session.run(GENERATIONS, lines.append) == INTERRUPTED
    assert lines == []
