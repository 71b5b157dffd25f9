"""`up` runs the whole grid as its children, and leaves none of them, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.errors import ConfigError, HostError
from modelgrid.ir import ApiKey, Container, Health, Isolated, Process
from modelgrid.up import events
from modelgrid.up.events import Answered, Asking, Fetching, Loading, Ready, Serving, Starting, Stopping
from tests.up.processes import listening, marked, until

if TYPE_CHECKING:
    from modelgrid.ir import Deployment
    from tests.up.conftest import Grid

THE_GATEWAY = "the gateway"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def kinds(grid: Grid) -> list[str]:
    """The names of the reported events, a run of pieces of the answer as one."""
    names = [type(event).__name__ for event in grid.events]
    return [name for name, before in zip(names, ["", *names], strict=False) if (name, before) != ("Answer", "Answer")]


def get(url: str, key: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_one_question_is_answered_through_the_gateway(grid: Grid) -> None:
    grid.real_gateway = True
    grid.add("tiny", "environment", environment=(("GREETING", "good morning"),))

    assert grid.run(ask="hello", once=True) == 0

    assert grid.answer == "good morning"
    assert kinds(grid) == [
        "Starting", "Ready", "Starting", "Ready", "Asking", "Answer", "Answered", "Stopping",
    ]  # fmt: skip
    assert grid.the(Asking) == Asking(model="tiny", prompt="hello")
    assert grid.temporary == []


def test_servers_start_together_and_the_gateway_when_all_are_ready(grid: Grid) -> None:
    grid.add("first", "slow")
    grid.add("second")

    assert grid.run(ask="hello", once=True) == 0

    steps = [(type(event), event.server) for event in grid.events if isinstance(event, Starting | Ready)]
    assert steps == [
        (Starting, "first"),
        (Starting, "second"),
        (Ready, "first"),
        (Ready, "second"),
        (Starting, THE_GATEWAY),
        (Ready, THE_GATEWAY),
    ]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_what_is_ready_with_exit_code_0(grid: Grid, number: signal.Signals) -> None:
    grid.add("tiny")
    grid.on[Serving] = lambda: grid.interrupt(number)

    assert grid.run() == 0
    assert kinds(grid)[-2:] == ["Serving", "Stopping"]
    assert grid.temporary == []


@pytest.mark.parametrize("moment", [Starting, Ready, Asking, events.Answer])
def test_a_signal_before_that_ends_it_with_exit_code_130(grid: Grid, moment: type[events.Event]) -> None:
    grid.add("tiny")
    grid.on[moment] = grid.interrupt

    assert grid.run(ask="hello", once=True) == 130
    assert grid.temporary == []


def test_the_handlers_of_signals_are_put_back(grid: Grid) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    grid.add("tiny")
    grid.on[Starting] = grid.interrupt
    grid.run()

    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_without_keys_in_the_file_one_is_made_and_asked_for(grid: Grid) -> None:
    grid.real_gateway = True
    grid.add("tiny")
    statuses: list[int] = []

    def visit() -> None:
        serving = grid.the(Serving)
        statuses.extend(get(f"{serving.url}/models", key) for key in ("", "sk-mg-wrong", serving.key))
        grid.interrupt()

    grid.on[Serving] = visit
    grid.run()

    assert statuses == [401, 401, 200]
    assert grid.the(Serving).key.startswith("sk-mg-")
    assert grid.the(Serving).url == f"http://127.0.0.1:{grid.gateway.port}/v1"


def test_keys_of_the_file_are_the_only_ones_when_nothing_is_asked(grid: Grid) -> None:
    grid.add("tiny")
    written: list[list[str]] = []

    def look() -> None:
        keys = json.loads((Path(grid.the(Serving).logs).parent / "keys.json").read_text())
        written.append([key["name"] for key in keys["keys"]])
        grid.interrupt()

    grid.on[Serving] = look
    grid.run(deployment=_with_key(grid))

    assert grid.the(Serving).key == ""
    assert written == [["team-a"]]


def test_a_question_gets_a_key_of_its_own_beside_those_of_the_file(grid: Grid) -> None:
    grid.real_gateway = True
    grid.add("tiny")

    assert grid.run(ask="hello", once=True, deployment=_with_key(grid)) == 0
    assert grid.answer == "You said: hello"


def _with_key(grid: Grid) -> Deployment:
    gateway = replace(grid.deployment.gateway, keys=(ApiKey(name="team-a", sha256="0" * 64),))
    return replace(grid.deployment, gateway=gateway)


def test_the_key_is_in_no_command_line_and_no_file(grid: Grid) -> None:
    grid.add("tiny")
    seen: list[str] = []

    def look() -> None:
        seen.extend(marked(grid.mark).values())
        seen.extend(path.read_text() for path in grid.temporary[0].rglob("*") if path.is_file())
        grid.interrupt()

    grid.on[Serving] = look
    grid.run(ask="hello")

    assert any("--listen" in text for text in seen)
    assert not [text for text in seen if grid.the(Serving).key in text]


def test_the_folder_of_a_run_is_its_users_alone(grid: Grid) -> None:
    grid.add("tiny")
    modes: list[int] = []
    grid.on[Ready] = lambda: modes.extend(path.stat().st_mode & 0o777 for path in grid.temporary)
    grid.run(ask="hello", once=True)

    assert set(modes) == {0o700}


def test_a_server_that_ends_before_it_is_ready_is_the_end_of_all(grid: Grid) -> None:
    grid.add("bad", "fail")
    grid.add("good")

    with pytest.raises(HostError) as caught:
        grid.run()

    message = "bad ended with exit code 5 before it was ready: no such file: weights.gguf"
    assert (caught.value.message, caught.value.exit_code) == (message, 3)
    assert "\n  reading the weights\n  no such file: weights.gguf" in str(caught.value.hint)
    assert Starting(server=THE_GATEWAY) not in grid.events


def test_after_a_failure_the_logs_stay_and_nothing_else(grid: Grid) -> None:
    grid.add("bad", "fail")

    with pytest.raises(HostError) as caught:
        grid.run()

    (folder,) = grid.temporary
    assert [path.relative_to(folder) for path in folder.rglob("*")] == [Path("logs"), Path("logs/bad.log")]
    assert f"{folder}/logs/bad.log ends with:" in str(caught.value.hint)


def test_a_server_that_ends_while_serving_is_the_end_of_all(grid: Grid) -> None:
    grid.add("tiny")

    def kill() -> None:
        for process_id, command in marked(grid.mark).items():
            if "--listen" not in command and "model_server.py" in command:
                os.kill(process_id, signal.SIGKILL)

    grid.on[Serving] = kill

    with pytest.raises(HostError, match=r"^tiny ended with signal 9 \(Killed\)"):
        grid.run()


def test_a_gateway_that_ends_is_the_end_of_all(grid: Grid) -> None:
    grid.add("tiny")

    def kill() -> None:
        for process_id, command in marked(grid.mark).items():
            if "--listen" in command:
                os.kill(process_id, signal.SIGKILL)

    grid.on[Serving] = kill

    with pytest.raises(HostError, match=r"^the gateway ended with signal 9"):
        grid.run()


def test_a_server_that_the_question_kills_is_named(grid: Grid) -> None:
    grid.real_gateway = True
    grid.add("tiny", "mortal")

    with pytest.raises(HostError, match=r"^tiny ended with exit code 7: out of memory$"):
        grid.run(ask="hello", once=True)

    assert Answered() not in grid.events


@pytest.mark.parametrize(
    ("word", "message"),
    [("silent", "tiny answered without a word"), ("broken", "the answer broke off: the GPU has gone")],
)
def test_a_question_without_an_answer_is_a_failure(grid: Grid, word: str, message: str) -> None:
    grid.gateway_words = (word,)
    grid.add("tiny")

    with pytest.raises(HostError) as caught:
        grid.run(ask="hello", once=True)

    assert caught.value.message == message


def test_a_server_that_is_never_ready_is_given_up(grid: Grid) -> None:
    grid.add("tiny", "never", health=Health(path="/health", start_timeout=0.6))

    with pytest.raises(HostError, match=r"^tiny was not ready after 1 s: the answer is 503$"):
        grid.run()


def test_a_long_wait_is_seen_to_go_on(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelgrid.up.supervisor._HEARTBEAT", 0.1)
    grid.add("tiny", "slow")
    grid.on[Ready] = grid.interrupt
    grid.run()

    waits = [event.seconds for event in grid.events if isinstance(event, Loading)]
    assert len(waits) >= 2
    assert waits == sorted(waits)


def test_a_server_that_ignores_sigterm_is_killed_after_its_stop_timeout(grid: Grid) -> None:
    grid.add("tiny", "stubborn", stop_timeout=0.2)
    grid.on[Serving] = grid.interrupt

    assert grid.run() == 0


def test_a_second_signal_ends_the_patience(grid: Grid) -> None:
    grid.add("tiny", "stubborn", stop_timeout=600.0)
    grid.on[Serving] = grid.interrupt
    again = threading.Timer(0.5, grid.interrupt)
    grid.on[Stopping] = again.start

    assert grid.run() == 0
    again.join()


def test_a_model_gets_its_state_directory(grid: Grid) -> None:
    model = grid.add("tiny")
    assert isinstance(model.launch, Process)
    grid.models = [replace(model, launch=replace(model.launch, state_directory="modelgrid/tiny"))]
    grid.run(once=True)

    assert (grid.folder / "state/modelgrid/tiny").stat().st_mode & 0o777 == 0o700


def test_a_state_directory_that_cannot_be_made_is_one_sentence(grid: Grid) -> None:
    (grid.folder / "state").write_text("a file")
    model = grid.add("tiny")
    assert isinstance(model.launch, Process)
    grid.models = [replace(model, launch=replace(model.launch, state_directory="modelgrid/tiny"))]

    with pytest.raises(HostError, match=r"^cannot make the state directory .*/state/modelgrid/tiny: Not a directory$"):
        grid.run(once=True)


def test_an_engine_fetches_its_weights_after_it_has_started(grid: Grid) -> None:
    _after_start(grid, "import os; print(os.environ['GREETING'])")

    assert grid.run(ask="hello", once=True) == 0
    assert kinds(grid)[:4] == ["Starting", "Fetching", "Starting", "Ready"]
    assert grid.the(Fetching) == Fetching(server="tiny")


def test_weights_that_cannot_be_fetched_are_the_end_of_all(grid: Grid) -> None:
    _after_start(grid, "raise SystemExit('pull: no such model')")

    with pytest.raises(
        HostError, match=r"^tiny ended with exit code 1 while it fetched its weights: pull: no such model$"
    ):
        grid.run()


def _after_start(grid: Grid, code: str) -> None:
    model = grid.add("tiny", environment=(("GREETING", "good morning"),))
    assert isinstance(model.launch, Process)
    grid.models = [replace(model, launch=replace(model.launch, after_start=((sys.executable, "-c", code),)))]


def test_modules_in_the_working_directory_are_not_imported(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("argparse", "json", "granian"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    grid.real_gateway = True
    grid.add("tiny")

    assert grid.run(ask="hello", once=True) == 0


def test_a_model_in_a_container_is_refused(grid: Grid) -> None:
    container = Container(image="x", pull=False, port=1, attachment=Isolated(address="10.133.0.16"))
    grid.add("boxed", launch=container)

    with pytest.raises(ConfigError) as caught:
        grid.run()

    assert caught.value.message == "`up` runs programs of this host only, and boxed runs in a container"
    assert caught.value.hint == "set `runtime: native`, or use `modelgrid apply`"
    assert grid.events == []


def test_a_question_needs_a_model_that_chats(grid: Grid) -> None:
    grid.add("embedder")
    routes = tuple(replace(route, apis=("/v1/embeddings",)) for route in grid.deployment.routes)

    with pytest.raises(ConfigError, match="no model of the file serves chat"):
        grid.run(ask="hello", deployment=replace(grid.deployment, routes=routes))


def test_a_program_that_is_not_there_is_one_sentence(grid: Grid) -> None:
    grid.add("tiny", launch=Process(argv=("/no/such/llama-server",)))

    with pytest.raises(HostError, match=r"^cannot start tiny: /no/such/llama-server: No such file or directory$"):
        grid.run()

    assert grid.temporary == []


@pytest.mark.parametrize("whose", ["gateway", "tiny"])
def test_a_taken_port_is_one_sentence_before_anything_starts(grid: Grid, whose: str) -> None:
    model = grid.add("tiny")
    port = grid.gateway.port if whose == "gateway" else model.endpoint.port
    name = THE_GATEWAY if whose == "gateway" else "tiny"
    taken = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: listening(port))
        with pytest.raises(HostError) as caught:
            grid.run()
    finally:
        taken.kill()
        taken.wait()

    assert caught.value.message == f"{name}: port {port} of 127.0.0.1 is taken by another program"
    assert grid.events == []
    assert grid.temporary == []


@pytest.mark.parametrize("words", [(), ("stubborn",)])
def test_when_up_is_killed_nothing_is_left_within_two_seconds(grid: Grid, words: tuple[str, ...]) -> None:
    model = grid.add("tiny", *words)
    program = [sys.executable, "-m", "tests.up.runner", str(grid.gateway.port), str(model.endpoint.port), *words]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(grid.folder / "tmp")}
    ) as up:
        assert up.stdout is not None
        assert up.stdout.read(7) == b"serving"
        assert len(marked(grid.mark)) >= 4, "up, its guard, the model's server, the gateway"
        up.kill()
        up.wait()
        taken = until(lambda: not marked(grid.mark), seconds=2.0)

    assert taken < 2.0
    until(lambda: grid.temporary == [], seconds=2.0)


def test_what_is_killed_while_it_starts_leaves_nothing_either(grid: Grid) -> None:
    model = grid.add("tiny")
    program = [sys.executable, "-m", "tests.up.runner", str(grid.gateway.port), str(model.endpoint.port), "never"]
    with subprocess.Popen(program, env={**os.environ, "TMPDIR": str(grid.folder / "tmp")}) as up:
        until(lambda: listening(model.endpoint.port))
        up.kill()
        up.wait()
        until(lambda: not marked(grid.mark), seconds=2.0)

    until(lambda: grid.temporary == [], seconds=2.0)
