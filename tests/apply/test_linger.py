"""What a user is told of units that end at logout."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.checks.linger import NOTE, linger_notes
from modelgrid.apply.process import NOT_FOUND, Completed
from modelgrid.apply.store.layout import Layout
from tests.apply.fakes import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from modelgrid.apply.host import Host


class Logind:
    """loginctl, with one answer."""

    def __init__(self, returncode: int, answer: str) -> None:
        self._answer = Completed(returncode=returncode, stdout=answer, stderr="")

    def run(self, *argv: str, environment: Mapping[str, str] | None = None, timeout: float = 60.0) -> Completed:
        assert argv[:3] == ("loginctl", "show-user", "1000")
        return self._answer


def users_host(root: Path, returncode: int, answer: str) -> Host:
    layout = Layout.user({"HOME": "/home/ada"})
    return replace(Machine(root).host(), layout=layout, user=1000, processes=Logind(returncode, answer))


@pytest.mark.parametrize(
    ("returncode", "answer", "told"),
    [(0, "no\n", (NOTE,)), (0, "yes\n", ()), (1, "", ()), (NOT_FOUND, "", ())],
)
def test_a_user_who_does_not_linger_is_told(
    returncode: int, answer: str, told: tuple[str, ...], tmp_path: Path
) -> None:
    assert linger_notes(users_host(tmp_path, returncode, answer)) == told


def test_the_systems_units_need_no_user(tmp_path: Path) -> None:
    assert linger_notes(Machine(tmp_path).host()) == ()
