from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("tests.apply.checks", "tests.apply.durable_machine")

from tests.apply.fakes import Machine  # noqa: E402  what follows must know of the line above

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
