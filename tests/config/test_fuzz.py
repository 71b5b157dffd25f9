"""A hundred thousand texts go the way of ``modelgrid check``: each is read or refused, in time, with a place."""

from __future__ import annotations

import json
import re
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from modelgrid.cli.pipeline import failure_of
from modelgrid.config import load as load_module
from modelgrid.config.check import check
from modelgrid.engines.names import builtin_abilities, builtin_names
from modelgrid.rendering import render_text, to_json
from modelgrid.sarif import to_sarif
from modelgrid.workflow_commands import to_workflow_commands
from tests.config.fuzzing import KINDS, make
from tests.config.reading import FILE, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelgrid.config.load import Document
    from modelgrid.config.schema import Config
    from modelgrid.diagnostics import Report

#: How many of each kind: 100,000 in all.
NUMBERS: Final = {"configuration": 20_000, "mutated": 35_000, "bytes": 20_000, "soup": 20_000, "noise": 5_000}

#: Seconds of the processor that no input may take.
LIMIT: Final = 1.0

#: Failing inputs that are shown.
SHOWN: Final = 5

BASE: Final = Path("/grids")


class TooLongError(BaseException):
    """An input took more than LIMIT. No handler of ``Exception`` keeps it from the test."""


@contextmanager
def limited() -> Iterator[None]:
    """Raise TooLongError in what takes longer than LIMIT."""

    def late(*_: object) -> None:
        raise TooLongError

    start = time.process_time()
    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    if time.process_time() - start > LIMIT:
        raise TooLongError  # in one call of C, which no signal interrupts


def go_through(text: str | bytes) -> tuple[Document | None, Config | None]:
    """Read, check and report *text* as the command does, in every format; assert what holds for all reports."""
    document, report = read(text)
    config = None
    if document is not None:
        config, report = check(document, engines=builtin_names(), abilities=builtin_abilities, base=BASE, exists=_never)
        assert (config is None) == bool(report.errors)
    _assert_placed(report, document.text if document is not None else text)
    _assert_shown(report)
    return document, config


def _never(path: Path) -> bool:
    # what a host does for a name that it cannot have
    if "\0" in str(path):
        raise ValueError("embedded null byte")
    return False


def _assert_placed(report: Report, text: str | bytes) -> None:
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    lines = re.split(r"\r\n|\r|\n", decoded.removeprefix("\ufeff"))
    for item in report:
        place = item.location
        assert place is not None, item
        assert place.file == FILE
        assert 1 <= place.line <= len(lines), item
        line = lines[place.line - 1]
        assert 1 <= place.column <= len(line) + 1, item
        assert 1 <= place.length <= max(1, len(line) + 1 - place.column), item
        assert not place.excerpt or len(place.excerpt) == len(line), item
        assert item.message


def _assert_shown(report: Report) -> None:
    number = len(tuple(report))
    shown = render_text(report)
    render_text(report, colour=True)
    assert len(re.findall(r"^(?:error|warning)\[MG[0-9]{4}\]: ", shown, re.MULTILINE)) == number
    assert shown.replace("\n", "").isprintable()
    shown.encode()
    data = json.loads(to_json(report))
    assert len(data["diagnostics"]) == number == data["errors"] + data["warnings"]
    (run,) = json.loads(to_sarif(report, base=BASE))["runs"]
    assert len(run["results"]) == number
    for result in run["results"]:
        region = result["locations"][0]["physicalLocation"]["region"]
        assert (region["startLine"], region["startColumn"]) < (region["endLine"], region["endColumn"])
    commands = to_workflow_commands(report, base=BASE)
    assert len(commands.splitlines()) == number
    assert all(line.startswith(("::error ", "::warning ")) for line in commands.splitlines())
    failure_of(report, strict=True)


def failures(kind: str, numbers: range) -> list[str]:
    """Return what went wrong, with the least part of the input that still does it, ready to paste."""
    found: list[str] = []
    for number in numbers:
        text = make(kind, number)
        if error := failure(text):
            small = shrunk(text, type(error))
            found.append(f"make({kind!r}, {number}): {type(error).__name__}: {error}\n  go_through({small!r})")
            if len(found) == SHOWN:
                break
    return found


def failure(text: str | bytes) -> BaseException | None:
    """Return what *text* raises that it must not."""
    try:
        with limited():
            go_through(text)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  whatever it is, it is the finding
        return error
    return None


def shrunk(text: Any, kind: type[BaseException]) -> Any:
    """Leave parts out of *text* as long as it fails in the same way."""
    size = len(text) // 2
    while size and kind is not TooLongError:
        start = 0
        while start < len(text):
            shorter = text[:start] + text[start + size :]
            if type(failure(shorter)) is kind:
                text = shorter
            else:
                start += size
        size //= 2
    return text


@pytest.mark.tools
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers of a process")
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_gets_more_than_a_report_or_takes_longer_than_a_second(kind: str) -> None:
    assert not (found := failures(kind, range(NUMBERS[kind]))), "\n".join(found)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers of a process")
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_texts_of_each_kind_are_read_or_refused(kind: str) -> None:
    assert not (found := failures(kind, range(200))), "\n".join(found)


@pytest.mark.tools
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers of a process")
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_holds_with_the_parser_in_python(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "LOADER", yaml.SafeLoader)

    assert not (found := failures(kind, range(500))), "\n".join(found)


def test_the_kinds_reach_all_stages() -> None:
    documents = [go_through(make("configuration", number)) for number in range(300)]

    assert sum(document is not None for document, _ in documents) > 150
    assert sum(config is not None for _, config in documents) > 15
