"""One file in, answered tokens out: real systemd, real podman, a real model, clients from outside the machine."""

from __future__ import annotations

import json
import math
import threading
from typing import TYPE_CHECKING

import httpx
import openai
import pytest

from tests.machine.grid import CHAT, EMBED, FILE, GATEWAY, SECOND, Grid
from tests.machine.layers import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine


@pytest.fixture(scope="module")
def applied(machine: Machine) -> Iterator[Grid]:
    """The base configuration, applied to a machine that had nothing of ours."""
    grid = Grid(machine)
    grid.apply()
    yield grid
    grid.modelgrid("destroy")
    grid.close()


@pytest.fixture
def grid(applied: Grid) -> Grid:
    """The base configuration, whatever the test before applied."""
    applied.apply()
    return applied


def test_systemd_owns_a_model_server_in_a_podman_container(grid: Grid) -> None:
    for unit in (CHAT, EMBED, GATEWAY, "modelgrid.target"):
        assert grid.properties(unit, "ActiveState")["ActiveState"] == "active"
    names = grid.machine.run(["podman", "ps", "--format", "{{.Names}}"]).stdout.split()
    assert sorted(names) == ["modelgrid-model-embedder", "modelgrid-model-gemma"]


def test_the_openai_client_lists_completes_streams_and_embeds(grid: Grid, capsys: pytest.CaptureFixture[str]) -> None:
    client = grid.client()
    assert sorted(model.id for model in client.models.list()) == ["embedder", "gemma"]
    assert client.models.retrieve("gemma").id == "gemma"

    answer = grid.ask(prompt="What is the capital of France?")
    assert "Paris" in answer

    stream = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Count from one to five."}],
        stream=True,
        max_tokens=32,
        temperature=0,
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert len([piece for piece in pieces if piece]) > 3

    vectors = client.embeddings.create(model="embedder", input=["a cat", "a kitten", "tax law"])
    cat, kitten, law = (item.embedding for item in vectors.data)
    assert cosine(cat, kitten) > cosine(cat, law)

    with capsys.disabled():
        print(f"\n  the model on the machine says: {answer.strip()!r}, and streams: {''.join(pieces).strip()!r}")


def cosine(first: list[float], second: list[float]) -> float:
    product = sum(x * y for x, y in zip(first, second, strict=True))
    return product / (math.hypot(*first) * math.hypot(*second))


def test_a_wrong_key_is_refused_and_a_narrow_one_sees_its_models_only(grid: Grid) -> None:
    with pytest.raises(openai.AuthenticationError):
        grid.client("sk-mg-wrong").models.list()
    narrow = grid.client(grid.narrow_key)
    assert [model.id for model in narrow.models.list()] == ["embedder"]
    with pytest.raises((openai.NotFoundError, openai.PermissionDeniedError)):
        narrow.chat.completions.create(model="gemma", messages=[{"role": "user", "content": "Hi"}])


def test_plan_says_no_change_after_apply(grid: Grid) -> None:
    code, plan = grid.plan()
    assert code == 0
    assert plan["actions"] == []


def test_a_comment_changes_nothing_that_runs(grid: Grid) -> None:
    before = grid.invocations(CHAT, EMBED, GATEWAY)
    grid.apply("# a comment\n" + grid.base)
    assert grid.invocations(CHAT, EMBED, GATEWAY) == before


def test_a_changed_context_restarts_that_one_unit_and_rollback_brings_the_old_one_back(grid: Grid) -> None:
    before = grid.invocations(CHAT, EMBED, GATEWAY)
    changed = grid.base.replace("context: 1024", "context: 2048")
    grid.machine.write(FILE, changed)
    code, plan = grid.plan()
    assert code == 2
    assert [(action["action"], action["unit"]) for action in plan["actions"] if action["unit"]] == [("restart", CHAT)]

    grid.apply(changed)
    after = grid.invocations(CHAT, EMBED, GATEWAY)
    assert after[CHAT] != before[CHAT]
    assert (after[EMBED], after[GATEWAY]) == (before[EMBED], before[GATEWAY])
    assert "2048" in command_line(grid, "modelgrid-model-gemma")

    grid.modelgrid("rollback")
    back = grid.invocations(CHAT, EMBED, GATEWAY)
    assert back[CHAT] != after[CHAT]
    assert (back[EMBED], back[GATEWAY]) == (before[EMBED], before[GATEWAY])
    assert "1024" in command_line(grid, "modelgrid-model-gemma")
    assert grid.ask()


def command_line(grid: Grid, container: str) -> list[str]:
    return grid.machine.run(["podman", "inspect", "--format", "{{json .Args}}", container]).stdout.split('"')


def test_a_second_model_joins_without_the_first_noticing(grid: Grid) -> None:
    before = grid.invocations(CHAT, EMBED, GATEWAY)
    stop = threading.Event()
    answers: list[str] = []
    failures: list[Exception] = []

    def talk() -> None:
        while not stop.is_set():
            try:
                answers.append(grid.ask(max_tokens=8))
            except openai.OpenAIError as error:
                failures.append(error)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        grid.apply(grid.base + SECOND)
    finally:
        stop.set()
        talker.join()
    assert failures == []
    assert answers
    assert grid.invocations(CHAT, EMBED, GATEWAY) == before
    assert grid.ask("second")


def test_a_model_that_leaves_is_gone_and_the_others_stay(grid: Grid) -> None:
    grid.apply(grid.base + SECOND)
    before = grid.invocations(CHAT, EMBED, GATEWAY)
    grid.apply()
    assert grid.invocations(CHAT, EMBED, GATEWAY) == before
    assert "modelgrid-model-second.service" not in grid.units()
    with pytest.raises(openai.NotFoundError):
        grid.ask("second")


def test_a_changed_key_takes_effect(grid: Grid) -> None:
    grid.apply(grid.base.replace("name: narrow", "name: other"))
    assert grid.ask()
    grid.apply("\n".join(line for line in grid.base.splitlines() if "narrow" not in line) + "\n")
    with pytest.raises(openai.AuthenticationError):
        grid.client(grid.narrow_key).models.list()


def test_a_model_that_never_gets_healthy_brings_the_generation_before_back(grid: Grid) -> None:
    before = grid.invocations(CHAT, EMBED, GATEWAY)
    grid.machine.write("/srv/models/broken.gguf", "this is no model")
    broken = grid.base + SECOND.replace(MODEL, "/srv/models/broken.gguf").replace("context: 512", "start_timeout: 15s")
    failed = grid.apply(broken, check=False)
    assert failed.returncode == 3
    assert "second" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert grid.invocations(CHAT, EMBED, GATEWAY) == before
    assert "modelgrid-model-second.service" not in grid.units()
    grid.machine.write(FILE, grid.base)
    assert grid.plan()[0] == 0


@pytest.mark.parametrize("name", ["HUP", "TERM", "INT"])
def test_an_apply_that_is_interrupted_goes_back(grid: Grid, name: str) -> None:
    before = grid.invocations(EMBED, GATEWAY)
    grid.machine.write(FILE, grid.base.replace("context: 1024", "context: 1536"))
    with grid.machine.popen(["modelgrid", "apply", FILE]) as applying:
        assert applying.stderr is not None
        for line in applying.stderr:
            if line.startswith("restarting"):
                break
        grid.machine.run(["pkill", f"--signal={name}", "--full", f"modelgrid apply {FILE}"])
        said = applying.stderr.read()
    assert applying.returncode == 130, said
    assert "Traceback" not in said
    assert grid.invocations(EMBED, GATEWAY) == before
    assert "1024" in command_line(grid, "modelgrid-model-gemma")
    grid.machine.write(FILE, grid.base)
    assert grid.plan()[0] == 0


def test_an_apply_whose_messages_nobody_reads_is_done_all_the_same(grid: Grid) -> None:
    grid.machine.write(FILE, grid.base.replace("context: 1024", "context: 1280"))
    grid.machine.run(["bash", "-o", "pipefail", "-c", f"modelgrid apply {FILE} 2>&1 | head -n 1"], timeout=120)
    assert "1280" in command_line(grid, "modelgrid-model-gemma")


def test_containers_are_hardened_and_have_no_way_out(grid: Grid) -> None:
    status = grid.machine.run(["podman", "exec", "modelgrid-model-gemma", "cat", "/proc/1/status"]).stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == 0
    assert (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()) == ("1", "2")
    routes = grid.machine.run(["podman", "exec", "modelgrid-model-gemma", "cat", "/proc/net/route"]).stdout
    assert [line for line in routes.splitlines()[1:] if line.split()[1] == "00000000"] == []
    write = grid.machine.run(["podman", "exec", "modelgrid-model-gemma", "touch", "/usr/x"], check=False)
    assert write.returncode != 0


def test_the_gateway_runs_as_a_user_of_its_own_in_a_tight_sandbox(grid: Grid) -> None:
    pid = grid.properties(GATEWAY, "MainPID")["MainPID"]
    assert grid.machine.run(["ps", "-o", "user=", "-p", pid]).stdout.strip() not in {"", "root"}
    checked = grid.machine.run(["systemd-analyze", "security", "--threshold=15", "--no-pager", GATEWAY], check=False)
    assert checked.returncode == 0, checked.stdout


def test_health_and_ready_need_no_key(grid: Grid) -> None:
    root = f"http://{grid.machine.address}:8080"
    assert httpx.get(f"{root}/health").status_code == 200
    ready = httpx.get(f"{root}/ready", headers={"authorization": f"Bearer {grid.key}"}).json()
    assert ready["models"] == {"embedder": "ready", "gemma": "ready"}


def test_status_lists_every_unit_and_container_commands_act_on_one(grid: Grid) -> None:
    shown = grid.modelgrid("status").stdout
    assert all(unit in shown for unit in (CHAT, EMBED, GATEWAY))
    assert "gemma" in grid.modelgrid("container", "list").stdout

    before = grid.invocations(EMBED, GATEWAY)
    grid.modelgrid("container", "stop", "gpt-4o-mini")
    assert grid.properties(CHAT, "ActiveState")["ActiveState"] == "inactive"
    with pytest.raises(openai.APIStatusError) as caught:
        grid.ask()
    assert caught.value.status_code in {502, 503}
    grid.modelgrid("container", "start", "gemma")
    assert grid.ask()
    assert grid.invocations(EMBED, GATEWAY) == before
    assert "llama" in grid.modelgrid("container", "logs", "gemma").stdout.lower()


def test_a_model_that_is_stopped_while_it_loads_is_down_and_not_failed(grid: Grid) -> None:
    grid.modelgrid("container", "stop", "gemma")
    grid.machine.run(["systemctl", "start", "--no-block", CHAT])
    container = ["podman", "container", "exists", "modelgrid-model-gemma"]
    grid.machine.wait_until(lambda: grid.machine.run(container, check=False).returncode == 0, what="the container")
    grid.modelgrid("container", "stop", "gemma")
    assert grid.properties(CHAT, "ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
    assert grid.machine.run(container, check=False).returncode == 1


def test_the_service_commands_stop_start_and_restart_all(grid: Grid) -> None:
    grid.modelgrid("service", "stop")
    states = [grid.properties(unit, "ActiveState")["ActiveState"] for unit in (CHAT, EMBED, GATEWAY)]
    assert states == ["inactive"] * 3
    grid.modelgrid("service", "start")
    assert grid.ask()
    before = grid.invocations(CHAT, GATEWAY)
    grid.modelgrid("service", "restart")
    after = grid.invocations(CHAT, GATEWAY)
    assert all(after[unit] != before[unit] for unit in before)
    assert GATEWAY.removesuffix(".service") in grid.modelgrid("service", "logs").stdout


def test_everything_comes_back_after_a_reboot(grid: Grid) -> None:
    grid.machine.reboot()
    grid.machine.wait_until(lambda: up(grid), timeout=60, what="the gateway")
    grid.machine.wait_until(
        lambda: grid.properties(CHAT, "ActiveState")["ActiveState"] == "active", timeout=60, what="the model"
    )
    assert grid.ask()
    grid.modelgrid("service", "disable")
    grid.machine.reboot()
    assert grid.properties(GATEWAY, "ActiveState")["ActiveState"] == "inactive"
    grid.modelgrid("service", "enable")
    grid.modelgrid("service", "start")
    assert grid.ask()


def up(grid: Grid) -> bool:
    try:
        return httpx.get(f"http://{grid.machine.address}:8080/ready", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_generations_are_listed_with_the_current_one(grid: Grid) -> None:
    listed = grid.modelgrid("generations").stdout.splitlines()
    assert sum("current" in line for line in listed[1:]) == 1


def test_the_journal_has_no_error_of_ours(grid: Grid) -> None:
    assert "Traceback" not in grid.machine.journal(GATEWAY)
    failed = grid.machine.run(["systemctl", "--failed", "--plain", "--no-legend"]).stdout.split()
    assert [word for word in failed if word.startswith("modelgrid")] == []
    models = {CHAT, EMBED, "modelgrid-model-second.service"}
    for unit in grid.units() - models:
        assert warnings(grid, unit) == []
    # engines log what they like at any priority; what systemd and podman say about their units is ours
    for unit in models:
        assert [line for line in warnings(grid, unit) if line["SYSLOG_IDENTIFIER"] == "systemd"] == []


def warnings(grid: Grid, unit: str) -> list[dict[str, str]]:
    """Return the lines of this boot about *unit*, or by it, that are warnings or worse."""
    shown = grid.machine.run(
        ["journalctl", "--boot", "--no-pager", "--quiet", "--priority=warning", "--output=json", f"--unit={unit}"]
    ).stdout
    lines = [json.loads(line) for line in shown.splitlines()]
    # the machine's sandbox keeps conmon from what it would like to set; it says so, and goes on
    return [
        {name: line.get(name, "") for name in ("SYSLOG_IDENTIFIER", "MESSAGE")}
        for line in lines
        if line.get("SYSLOG_IDENTIFIER") != "conmon"
    ]


def test_destroy_leaves_no_unit_no_file_no_user_and_keeps_the_weights(applied: Grid) -> None:
    machine = applied.machine
    users = machine.read("/etc/passwd")
    applied.apply()
    applied.modelgrid("destroy")
    assert applied.units() == set()
    found = machine.run(
        ["find", "/etc", "/run", "/var/lib", "/usr/local", "-name", "*modelgrid*", "-not", "-path", "/run/log/*"]
    ).stdout.split()
    assert [path for path in found if path != "/usr/local/bin/modelgrid"] == []
    assert machine.read("/etc/passwd") == users
    assert machine.run(["getent", "passwd", "modelgrid-gateway"], check=False).returncode != 0
    assert machine.run(["podman", "ps", "--all", "--quiet"]).stdout == ""
    assert "modelgrid" not in machine.run(["podman", "network", "ls"]).stdout
    assert machine.exists(MODEL)
