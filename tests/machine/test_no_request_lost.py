"""Changes under load: 50 clients stream from a real model and 50 from one that is quick, and none of them sees it.

A request counts as lost if it is refused, cut off or answered with an error; see :mod:`tests.machine.load`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from modelgrid.keys import new_key
from tests.machine import tiny
from tests.machine.grid import ANSWERS, CHAT, FILE, GATEWAY, Grid
from tests.machine.images import LLAMA_IMAGE
from tests.machine.layers import MODEL, VENV
from tests.machine.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

FAST, OTHER = "modelgrid-model-fast.service", "modelgrid-model-other.service"
CLIENTS = 50

Change = Callable[[], object]

#: The real model has one thread: several wait for each other, which takes long where others want the processor too.
ONE_THREAD = ANSWERS.replace("threads: 2", "threads: 1")

#: The real model, one that only pauses before each word, and one that nobody asks.
MODELS = f"""\
engines:
  llamacpp: {{image: {LLAMA_IMAGE}, entrypoint: /usr/bin/llama-server}}
{tiny.ENGINE}models:
  gemma:
    engine: llamacpp
    source: {MODEL}
    context: 2048
    parallel: 8
    args:
{ONE_THREAD}  fast:
    engine: tiny
    source: {tiny.PATH}
    args: ["100"]
  other:
    engine: tiny
    source: {tiny.PATH}
    env: {{CHANGED: "0"}}
"""


@pytest.fixture(scope="module")
def grid(machine: Machine) -> Iterator[Grid]:
    """The configuration above, applied. A test begins with what it needs, which is most often there already."""
    grid = Grid(machine)
    machine.write(tiny.PATH, tiny.PROGRAM)
    grid.base = grid.base.partition("engines:")[0] + MODELS
    grid.apply()
    yield grid
    grid.modelgrid("destroy")
    grid.close()


@pytest.fixture
def loses_nothing(grid: Grid, capsys: pytest.CaptureFixture[str]) -> Callable[[Change], set[str]]:
    """Do something to the grid under load.

    The function returns the units that then are not the ones that they were.
    """

    def run(change: Change) -> set[str]:
        address, machine = f"{grid.machine.address}:8080", grid.machine
        before = grid.invocations(CHAT, FAST, OTHER, GATEWAY)
        with ExitStack() as stack:
            real = stack.enter_context(
                Load(address, key=grid.key, model="gemma", clients=CLIENTS, words=3, prompt="Hi")
            )
            fast = stack.enter_context(Load(address, key=grid.key, model="fast", clients=CLIENTS, words=16, exact=True))
            # the real model is slow: that it is asked before and after is enough, for every answer is waited for
            machine.wait_until(lambda: fast.has_answered_all(since=0) and real.has_asked(since=0), what="the load")
            change()
            done = time.monotonic()
            machine.wait_until(lambda: fast.has_answered_all(since=done) and real.has_asked(since=done), what="answers")
            counts = real.stop(), fast.stop()
        with capsys.disabled():
            print(f"\n  the real model: {counts[0]}\n  the fast one: {counts[1]}")
        assert not any(count.failures for count in counts), "\n".join(count.summary() for count in counts)
        after = grid.invocations(CHAT, FAST, OTHER, GATEWAY)
        return {unit for unit in before if before[unit] != after[unit]}

    return run


LosesNothing = Callable[[Change], set[str]]


def test_a_rollback(grid: Grid, loses_nothing: LosesNothing) -> None:
    grid.apply()
    grid.apply(other_model(grid).replace("  fast:\n", "  fast:\n    aliases: [quick]\n"))
    assert loses_nothing(lambda: grid.modelgrid("rollback")) == {OTHER}
    grid.machine.write(FILE, grid.base)
    assert grid.plan()[0] == 0


def test_an_update_of_another_model(grid: Grid, loses_nothing: LosesNothing) -> None:
    grid.apply()
    assert loses_nothing(lambda: grid.apply(other_model(grid))) == {OTHER}


def other_model(grid: Grid) -> str:
    return grid.base.replace('CHANGED: "0"', 'CHANGED: "1"')


def test_new_models_routes_keys_and_limits(grid: Grid, loses_nothing: LosesNothing) -> None:
    key, digest = new_key()
    changed = other_model(grid).replace("  fast:\n", "  fast:\n    aliases: [quick]\n")
    changed = changed.replace("  keys:\n", f"  max_body: 8MiB\n  keys:\n    - {{name: new, sha256: {digest}}}\n")
    changed = changed.replace("models: [embedder]", "models: [fast]")
    changed += f"  added: {{engine: tiny, source: {tiny.PATH}}}\n"
    grid.apply(other_model(grid))
    assert loses_nothing(lambda: grid.apply(changed)) == set()
    assert grid.ask("quick") == grid.ask("added")
    assert len(list(grid.client(key).models.list())) == 4
    assert [model.id for model in grid.client(grid.narrow_key).models.list()] == ["fast"]


def test_an_update_of_the_models_themselves_with_room_for_second_ones(grid: Grid, loses_nothing: LosesNothing) -> None:
    grid.apply()
    grid.machine.write(FILE, larger_models(grid))
    assert handovers(grid) == {CHAT: "beside", FAST: "beside"}
    assert loses_nothing(lambda: grid.apply(larger_models(grid))) == {CHAT, FAST}
    assert "2304" in grid.machine.run(["podman", "inspect", "--format={{.Args}}", "modelgrid-model-gemma"]).stdout
    assert "standin" not in grid.machine.run(["podman", "ps", "--all", "--format={{.Names}}"]).stdout


def test_an_update_of_the_models_themselves_without_room(grid: Grid, loses_nothing: LosesNothing) -> None:
    grid.apply(larger_models(grid))
    grid.machine.write(FILE, grid.base)
    with little_memory(grid):
        assert handovers(grid) == {CHAT: "hold", FAST: "hold"}
        assert loses_nothing(grid.apply) == {CHAT, FAST}


def larger_models(grid: Grid) -> str:
    return grid.base.replace("context: 2048", "context: 2304").replace('["100"]', '["101"]')


def handovers(grid: Grid) -> dict[str, str]:
    """Return how the plan keeps the requests of each server."""
    return {action["unit"]: action["handover"] for action in grid.plan()[1]["actions"] if action.get("handover")}


@contextmanager
def little_memory(grid: Grid) -> Iterator[None]:
    """Let the kernel say that the machine has little memory left."""
    grid.machine.run(["sh", "-c", "sed 's/^MemAvailable:.*/MemAvailable: 1024 kB/' /proc/meminfo >/run/meminfo"])
    grid.machine.run(["mount", "--bind", "/run/meminfo", "/proc/meminfo"])
    try:
        yield
    finally:
        grid.machine.run(["umount", "/proc/meminfo"])


def test_an_update_of_the_gateway_itself(grid: Grid, loses_nothing: LosesNothing) -> None:
    """As a newer ModelGrid brings it: its unit is another."""
    grid.apply()
    template = grid.machine.run(["find", VENV, "-name", "gateway.service.j2"]).stdout.strip()
    grid.machine.run(["sed", "-i.old", "s/^UMask=.*/&\\nEnvironment=NEWER=1/", template])
    try:
        assert loses_nothing(grid.apply) == {GATEWAY}
        assert "NEWER=1" in grid.properties(GATEWAY, "Environment")["Environment"]
    finally:
        grid.machine.run(["mv", f"{template}.old", template])
