"""Hosts that lack something: one sentence that says what to do, exit code 3 and nothing written; or what works yet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.machine.grid import ANSWERS, CHAT, GATEWAY
from tests.machine.layers import MODEL, ready_layers
from tests.machine.machine import Machine
from tests.machine.ready import install_modelgrid, remove_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.machine

FILE = "/root/modelgrid.yaml"
CONFIG = f"""\
version: 1
models:
  gemma: {{engine: llamacpp, source: {MODEL}}}
"""
NATIVE = f"""\
version: 1
models:
  gemma:
    engine: llamacpp
    runtime: native
    source: {MODEL}
    context: 1024
    args:
{ANSWERS}"""
QUESTION = json.dumps(
    {"model": "gemma", "max_tokens": 24, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
)


def refusal(machine: Machine) -> str:
    """Apply on *machine*, which must refuse in one sentence and a hint; return both."""
    machine.write(FILE, CONFIG)
    before = files(machine)
    applied = machine.run(["modelgrid", "apply", FILE], check=False)
    assert applied.returncode == 3, applied.stderr
    assert applied.stdout == ""
    lines = applied.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["modelgrid", "hint"], applied.stderr
    assert files(machine) == before
    return applied.stderr


def files(machine: Machine) -> set[str]:
    return set(machine.run(["find", "/etc", "/usr/local", "/var/lib/modelgrid"], check=False).stdout.splitlines())


@pytest.fixture
def old_debian() -> Iterator[Machine]:
    """Debian 12, whose podman 4.3 has no quadlets."""
    with Machine(ready_layers("bookworm")) as machine:
        machine.boot()
        install_modelgrid(machine)
        yield machine


def test_a_podman_without_quadlets_is_named_with_the_version_that_is_needed(old_debian: Machine) -> None:
    said = refusal(old_debian)
    assert "4.3.1" in said
    assert "5.3" in said


def test_a_host_with_an_old_podman_serves_a_model_as_a_program(old_debian: Machine) -> None:
    old_debian.write(FILE, NATIVE)
    old_debian.run(["modelgrid", "apply", FILE], timeout=300)
    states = old_debian.run(["systemctl", "is-active", CHAT, GATEWAY, "modelgrid.target"], check=False).stdout.split()
    assert states == ["active"] * 3
    headers = ["--header", "content-type: application/json"]
    url = "http://127.0.0.1:8080/v1/chat/completions"
    answer = json.loads(old_debian.run(["curl", "-sS", *headers, "--data", QUESTION, url], timeout=120).stdout)
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert old_debian.run(["modelgrid", "plan", FILE], check=False).returncode == 0


def test_a_host_without_podman_is_told_to_install_it(off_machine: Machine) -> None:
    off_machine.boot()
    install_modelgrid(off_machine)
    remove_packages(off_machine, "podman")
    assert "podman" in refusal(off_machine)


def test_a_host_that_was_not_booted_with_systemd_says_so(off_machine: Machine) -> None:
    off_machine.boot(["sleep", "infinity"])
    install_modelgrid(off_machine)
    assert "systemd" in refusal(off_machine)


def test_a_read_only_etc_is_explained(off_machine: Machine) -> None:
    off_machine.boot()
    install_modelgrid(off_machine)
    off_machine.run(["mount", "--bind", "/etc", "/etc"])
    off_machine.run(["mount", "-o", "remount,bind,ro", "/etc"])
    assert "/etc" in refusal(off_machine)


def test_a_user_who_is_not_root_is_pointed_to_user(off_machine: Machine) -> None:
    off_machine.boot()
    install_modelgrid(off_machine)
    off_machine.write("/srv/modelgrid.yaml", CONFIG)
    applied = off_machine.run(["modelgrid", "apply", "/srv/modelgrid.yaml"], user="nobody", check=False)
    assert applied.returncode == 3
    assert "--user" in applied.stderr
