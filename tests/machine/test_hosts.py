"""Hosts that lack something: one sentence that says what to do, exit code 3 and nothing written; or what works yet."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.machine.grid import ANSWERS, CHAT, GATEWAY
from tests.machine.images import LLAMA_IMAGE
from tests.machine.layers import MODEL, ready_layers
from tests.machine.machine import Machine
from tests.machine.ready import import_llama, install_modelgrid, remove_packages

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
CONTAINED = f"""\
version: 1
engines:
  llamacpp: {{image: {LLAMA_IMAGE}, entrypoint: /usr/bin/llama-server}}
models:
  gemma:
    engine: llamacpp
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


def test_a_podman_without_quadlets_runs_a_container_by_a_plain_service(old_debian: Machine) -> None:
    old_debian.write("/etc/containers/containers.conf.d/runtime.conf", '[engine]\nruntime = "runc"\n')
    import_llama(old_debian)
    old_debian.write(FILE, CONTAINED)
    old_debian.run(["modelgrid", "apply", FILE], timeout=300)
    unit = old_debian.run(["systemctl", "show", CHAT, "--property=FragmentPath,ActiveState,Type"]).stdout
    assert set(unit.split()) == {f"FragmentPath=/etc/systemd/system/{CHAT}", "ActiveState=active", "Type=notify"}
    assert "Paris" in answer_of(old_debian)

    inside = ["podman", "exec", "modelgrid-model-gemma"]
    capabilities = old_debian.run([*inside, "grep", "CapEff", "/proc/1/status"]).stdout.split()
    assert capabilities == ["CapEff:", "0" * 16]
    assert old_debian.run([*inside, "touch", "/written"], check=False).returncode != 0
    way_out = old_debian.run([*inside, "curl", "-sS", "--max-time", "3", "http://192.0.2.1/"], check=False)
    assert way_out.returncode != 0
    assert old_debian.run(["modelgrid", "plan", FILE], check=False).returncode == 0

    old_debian.run(["podman", "kill", "modelgrid-model-gemma"])
    assert "Paris" in answer_of(old_debian, attempts=120)
    old_debian.write(FILE, CONTAINED.replace("context: 1024", "context: 2048"))
    old_debian.run(["modelgrid", "apply", FILE], timeout=300)
    assert "2048" in old_debian.run(["podman", "inspect", "--format", "{{json .Args}}", "modelgrid-model-gemma"]).stdout
    old_debian.run(["modelgrid", "rollback"], timeout=300)
    assert "Paris" in answer_of(old_debian)
    old_debian.run(["modelgrid", "destroy"], timeout=300)
    assert old_debian.run(["podman", "ps", "--all", "--quiet"]).stdout == ""
    assert "modelgrid" not in old_debian.run(["podman", "network", "ls", "--format", "{{.Name}}"]).stdout


def answer_of(machine: Machine, *, attempts: int = 1) -> str:
    """Ask the model through the gateway; it may take *attempts*, half a second apart, until it is back."""
    headers = ["--header", "content-type: application/json"]
    url = "http://127.0.0.1:8080/v1/chat/completions"
    for _ in range(attempts):
        answer = json.loads(machine.run(["curl", "-sS", *headers, "--data", QUESTION, url], timeout=120).stdout)
        if "choices" in answer:
            content: str = answer["choices"][0]["message"]["content"]
            return content
        time.sleep(0.5)
    raise AssertionError(answer)


def test_a_host_with_an_old_podman_serves_a_model_as_a_program(old_debian: Machine) -> None:
    old_debian.write(FILE, NATIVE)
    old_debian.run(["modelgrid", "apply", FILE], timeout=300)
    states = old_debian.run(["systemctl", "is-active", CHAT, GATEWAY, "modelgrid.target"], check=False).stdout.split()
    assert states == ["active"] * 3
    assert "Paris" in answer_of(old_debian)
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
