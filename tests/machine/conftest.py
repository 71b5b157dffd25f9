"""Fixtures: machines. What a failed test's machine has in its journal goes into the test's report."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.machine.layers import ready_layers
from tests.machine.machine import CommandFailed, Machine
from tests.machine.ready import ready_machine
from tests.machine.rootfs import default_suite

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted machine with ModelGrid, the image ``localhost/llama.cpp:debian`` and /srv/models/gemma-3-270m.gguf.

    All tests of a run share it: each removes what it made.
    """
    with ready_machine() as machine:
        yield machine


@pytest.fixture
def fresh_machine() -> Iterator[Machine]:
    """The same, of the test's own: for what cannot be undone, and for power cuts. 3 s."""
    with ready_machine() as machine:
        yield machine


@pytest.fixture(scope="module")
def own_machine() -> Iterator[Machine]:
    """The same for all tests of one module: for what the tests of others would be in the way of."""
    with ready_machine() as machine:
        yield machine


@pytest.fixture
def off_machine() -> Iterator[Machine]:
    """A machine of the test's own that is still off and has what ModelGrid depends on, but not ModelGrid.

    For hosts that lack something: `remove_packages`, ``boot(["sleep", "infinity"])``, then `install_modelgrid`.
    """
    with Machine(ready_layers(default_suite())) as machine:
        yield machine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Machine) and value.is_on:
                # a machine that is in no state to tell must not hide the failure
                with suppress(CommandFailed, subprocess.TimeoutExpired):
                    report.sections.append((f"the journal of {name}, its end", value.journal(lines=60)))
    return report
