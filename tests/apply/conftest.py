from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("tests.apply.checks", "tests.apply.durable_machine")

from modelgrid.apply import execute  # noqa: E402  what follows must know of the line above
from tests.apply.fakes import Machine  # noqa: E402  the same

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def no_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage is no part of the live tree, and is what takes most of the time of these many runs."""
    monkeypatch.setattr(execute, "check_stage", lambda host, artifacts: None)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: nothing here is about the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)
