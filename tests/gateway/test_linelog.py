from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from modelgrid.gateway import linelog
from modelgrid.gateway.linelog import LineLog

if TYPE_CHECKING:
    from collections.abc import Mapping

if TYPE_CHECKING:
    import pytest


def lines_of(*writes: Mapping[str, object], wait: float = 0.0) -> list[dict[str, Any]]:
    """What a log writes to a pipe; with *wait*, what it has written by itself after so many seconds."""
    reader, writer = os.pipe()
    log = LineLog(writer)

    async def main() -> None:
        for fields in writes:
            log.write(dict(fields))
        if wait:
            await asyncio.sleep(wait)
        else:
            log.flush()

    asyncio.run(main())
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return [json.loads(line) for line in pipe]


def test_each_line_is_json_with_a_time() -> None:
    [line] = lines_of({"id": "a\nb", "key": None})

    assert {name: value for name, value in line.items() if name != "time"} == {"id": "a\nb", "key": None}
    assert line["time"].endswith("+00:00")


def test_lines_are_written_by_themselves_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linelog, "_INTERVAL", 0.01)

    written = lines_of(*({"number": number, "pad": "x" * 100} for number in range(200)), wait=0.3)

    assert [line["number"] for line in written] == list(range(200))


def test_lines_beyond_the_limit_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linelog, "_LIMIT", 200)
    monkeypatch.setattr(linelog, "_INTERVAL", 0.01)
    reader, writer = os.pipe()

    async def main() -> None:
        log = LineLog(writer)
        for round_ in range(2):
            for number in range(10 if round_ == 0 else 1):
                log.write({"number": number})
            await asyncio.sleep(0.1)

    asyncio.run(main())
    os.close(writer)
    with os.fdopen(reader) as pipe:
        written = [json.loads(line) for line in pipe]

    counts = [line["count"] for line in written if line.get("event") == "lines_dropped"]
    assert len(counts) == 1
    assert counts[0] + sum("number" in line for line in written) == 11


def test_a_closed_stderr_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linelog, "_INTERVAL", 0.01)
    reader, writer = os.pipe()
    os.close(reader)

    async def main() -> None:
        log = LineLog(writer)
        for _ in range(3):
            log.write({"a": 1})
            await asyncio.sleep(0.05)

    asyncio.run(main())
    os.close(writer)
