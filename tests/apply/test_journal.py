"""What of a failed unit's journal is told: what the server said, and not what podman notes for itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from modelgrid.apply.journal import last_lines
from tests.apply.fakes import FakeProcesses

SINCE = datetime(2026, 1, 2, tzinfo=UTC)
UNIT = "modelgrid-model-a.service"


def lines(*entries: dict[str, Any] | str, count: int = 20) -> tuple[str, ...]:
    text = "\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    return last_lines(FakeProcesses(journal=text), UNIT, since=SINCE, count=count)


def test_events_of_podman_are_left_out_and_what_the_server_says_stays() -> None:
    assert lines(
        {"MESSAGE": "2026 container create 5e (image=x)", "PODMAN_EVENT": "create", "SYSLOG_IDENTIFIER": "podman"},
        {"MESSAGE": "7a" * 32, "_COMM": "podman", "SYSLOG_IDENTIFIER": "modelgrid-model-a"},
        {"MESSAGE": "container create is what I print", "_COMM": "conmon"},
        {"MESSAGE": "7a" * 32, "_COMM": "conmon"},
        {"MESSAGE": "Error: statfs /srv/x: no such file or directory", "_COMM": "podman"},
        {"MESSAGE": "health_status", "PODMAN_EVENT": "health_status"},
    ) == (
        "container create is what I print",
        "7a" * 32,
        "Error: statfs /srv/x: no such file or directory",
    )


def test_the_last_lines_are_told_though_podman_notes_more_after_them() -> None:
    said = [{"MESSAGE": f"line {number}"} for number in range(30)]
    noise = [{"MESSAGE": "container health_status", "PODMAN_EVENT": "health_status"}] * 40
    assert lines(*said, *noise, count=3) == ("line 27", "line 28", "line 29")


def test_a_message_may_be_bytes_or_of_several_lines_or_no_message() -> None:
    assert lines(
        {"MESSAGE": [99, 97, 102, 233]}, {"MESSAGE": "a\nb"}, {"MESSAGE": None}, {"MESSAGE": [300]}, "{no json", "[]"
    ) == ("caf\N{REPLACEMENT CHARACTER}", "a", "b")


def test_without_a_journal_there_are_no_lines() -> None:
    processes = FakeProcesses(missing={"journalctl"})
    assert last_lines(processes, UNIT, since=SINCE, count=20) == ()
