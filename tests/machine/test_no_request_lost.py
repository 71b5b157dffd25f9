"""Changes under load: 50 clients stream from a real model and 50 from one that is quick, and none of them sees it.

A request counts as lost if it is refused, cut off or answered with an error; see :mod:`tests.machine.load`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.machine import tiny
from tests.machine.grid import ANSWERS, CHAT, FILE, GATEWAY, Grid
from tests.machine.images import LLAMA_IMAGE
from tests.machine.layers import MODEL
from tests.machine.load import Load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

FAST, OTHER = "modelgrid-model-fast.service", "modelgrid-model-other.service"
CLIENTS = 50

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
def applied(machine: Machine) -> Iterator[Grid]:
    grid = Grid(machine)
    machine.write(tiny.PATH, tiny.PROGRAM)
    grid.base = grid.base.partition("engines:")[0] + MODELS
    grid.apply()
    yield grid
    grid.modelgrid("destroy")
    grid.close()


@pytest.fixture
def grid(applied: Grid) -> Grid:
    """The configuration above, whatever the test before applied."""
    applied.apply()
    return applied


@pytest.fixture
def loses_nothing(grid: Grid, capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[], object]], None]:
    """Do something to the grid under load, from every client's first answer on until its first one after."""

    def run(change: Callable[[], object]) -> None:
        address = f"{grid.machine.address}:8080"
        with ExitStack() as stack:
            loads = [
                stack.enter_context(Load(address, key=grid.key, model="gemma", clients=CLIENTS, words=4, prompt="Hi")),
                stack.enter_context(Load(address, key=grid.key, model="fast", clients=CLIENTS, exact=True)),
            ]
            await_answers(grid, loads)
            change()
            await_answers(grid, loads)
            real, fast = (load.stop() for load in loads)
        with capsys.disabled():
            print(f"\n  the real model: {real}\n  the fast one: {fast}")
        assert not (real.failures + fast.failures), f"{real.summary()}\n{fast.summary()}"

    return run


def await_answers(grid: Grid, loads: list[Load]) -> None:
    """Wait until each client has had a whole answer to a request that it began after this."""
    now = time.monotonic()
    grid.machine.wait_until(
        lambda: all(load.has_answered_all(since=now) for load in loads), timeout=120, what="an answer for everyone"
    )


def test_an_update_of_another_model(grid: Grid, loses_nothing: Callable[[Callable[[], object]], None]) -> None:
    before = grid.invocations(CHAT, FAST, OTHER, GATEWAY)
    loses_nothing(lambda: grid.apply(grid.base.replace('CHANGED: "0"', 'CHANGED: "1"')))
    after = grid.invocations(CHAT, FAST, OTHER, GATEWAY)
    assert {unit for unit in before if before[unit] != after[unit]} == {OTHER}


def test_a_new_model_a_new_route_and_a_new_limit(
    grid: Grid, loses_nothing: Callable[[Callable[[], object]], None]
) -> None:
    before = grid.invocations(CHAT, FAST, OTHER, GATEWAY)
    changed = grid.base.replace("  fast:\n", "  fast:\n    aliases: [quick]\n")
    changed = changed.replace("gateway:\n", "gateway:\n  max_body: 8MiB\n")
    changed += f"  added: {{engine: tiny, source: {tiny.PATH}}}\n"
    loses_nothing(lambda: grid.apply(changed))
    assert grid.invocations(CHAT, FAST, OTHER, GATEWAY) == before
    assert grid.ask("quick") == grid.ask("added")


def test_a_rollback(grid: Grid, loses_nothing: Callable[[Callable[[], object]], None]) -> None:
    grid.apply(
        grid.base.replace('CHANGED: "0"', 'CHANGED: "1"').replace("  fast:\n", "  fast:\n    aliases: [quick]\n")
    )
    before = grid.invocations(CHAT, FAST, OTHER, GATEWAY)
    loses_nothing(lambda: grid.modelgrid("rollback"))
    after = grid.invocations(CHAT, FAST, OTHER, GATEWAY)
    assert {unit for unit in before if before[unit] != after[unit]} == {OTHER}
    grid.machine.write(FILE, grid.base)
    assert grid.plan()[0] == 0
