"""A plan for people and for tools: why each unit is touched, with the line of the configuration behind it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from modelgrid.apply.checks.problems import Refusal
from modelgrid.apply.events import ApplyError
from modelgrid.apply.planning.downtime import Service
from modelgrid.apply.planning.plan import Change
from modelgrid.diagnostics import Location, format_path, parse_path
from modelgrid.errors import ConfigError
from modelgrid.quantities import format_size, write_duration
from modelgrid.redaction import mask, mask_line
from modelgrid.rendering import diagnostic_data
from modelgrid.review.text import change_line, visible
from modelgrid.review.values import KeyChange
from modelgrid.settings_record import SETTINGS, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from modelgrid.apply.planning.because import Because, Cause
    from modelgrid.apply.planning.downtime import Downtime
    from modelgrid.apply.planning.gpu_memory import GpuChange
    from modelgrid.apply.planning.outlook import Outlook
    from modelgrid.apply.planning.plan import Plan, Pull
    from modelgrid.apply.planning.units import ChangedKey
    from modelgrid.config.load import Document
    from modelgrid.emit.artifact import Artifact
    from modelgrid.errors import ModelGridError

_INDENT = " " * 9

#: What the planner says of a unit that came or went, and of the gateway's files: the causes say it better.
_PLAIN = ("it is new", "it is no longer configured", "route ", "keys.json changed", "routing.json changed")


def places(document: Document) -> Callable[[str], Location | None]:
    """Return what finds the place in *document* of a path such as ``$.models.qwen``; none where it has no such."""

    def place(text: str) -> Location | None:
        try:
            path = parse_path(text)
        except ValueError:
            return None
        return document.locate(path) if path and document.value(path) is not None else None

    return place


def told_places(known: Mapping[str, tuple[str, int, int]]) -> Callable[[str], Location | None]:
    """Return the same of a tree that was compiled elsewhere, by what :func:`known_places` found there."""

    def place(text: str) -> Location | None:
        if text not in known:
            return None
        file, line, column = known[text]
        return Location(file=file, line=line, column=column)

    return place


def known_places(document: Document, tree: Iterable[Artifact]) -> Mapping[str, tuple[str, int, int]]:
    """Return file, line and column of every setting of *tree* and of what it stands in, by path."""
    settings = next((load_settings(item.content) for item in tree if item.path == SETTINGS), {})
    paths = {format_path(path[:size]) for path in map(parse_path, settings) for size in range(1, len(path) + 1)}
    place = places(document)
    found = {path: location for path in sorted(paths) if (location := place(path)) is not None}
    return {path: (location.file, location.line, location.column) for path, location in found.items()}


def action_lines(plan: Plan, outlook: Outlook, place: Callable[[str], Location | None]) -> Iterator[str]:
    """Write what happens to each unit, and below it why."""
    for action in plan.actions:
        because = outlook.because.get(action.unit)
        where = _where(place(because.origin)) if because else ""
        yield f"{action.verb.name.lower():8} {action.unit}{f'  {where}' if where else ''}"
        for line in _reasons(action.reasons, because, place):
            yield _INDENT + visible(mask(line))
    for item in plan.waiting:
        because = outlook.because.get(item.unit)
        where = _where(place(because.origin)) if because else ""
        yield f"{'wait' if item.told else 'keep':8} {item.unit}{f'  {where}' if where else ''}"
        for line in _reasons(item.reasons, because, place):
            yield _INDENT + visible(mask(line))
        if item.told:
            yield f"{_INDENT}to have it by what is new: modelgrid container restart {item.model}"


def _reasons(reasons: Iterable[str], because: Because | None, place: Callable[[str], Location | None]) -> Iterator[str]:
    if because is None:
        yield from reasons
        return
    keys = [change_line(_key(change)) for change in because.keys]
    lines = [_cause_line(cause, because.origin, place) for cause in because.causes]
    if len(lines) == len(keys) == 1:
        yield f"because {lines[0]}  ({keys[0]})"
    else:
        yield from (f"because {line}" for line in lines)
        yield from keys
    for item in because.news:
        where = _where(place(item.path))
        yield f"because {item.text}{f'  {where}' if where else ''}"
    told = [f"{_key(change).key} " for change in because.keys]
    told += _PLAIN if because.causes or because.news else ()
    yield from (reason for reason in reasons if not reason.startswith(tuple(told)))


def _cause_line(cause: Cause, origin: str, place: Callable[[str], Location | None]) -> str:
    name = cause.path.removeprefix(f"{origin}.") if cause.path != origin else cause.path
    name = name.removeprefix("$.")
    where = _where(place(cause.path))
    match cause.change:
        case Change.ALTER:
            text = f"{name}: {_value(cause.before)} -> {_value(cause.after)}"
        case Change.ADD:
            text = f"{name} is new" if cause.after is None else f"{name}: now {_value(cause.after)}"
        case Change.REMOVE:
            text = f"{name} is gone" if cause.before is None else f"{name}: no longer {_value(cause.before)}"
    return f"{text}  {where}" if where else text


def downtime_lines(downtimes: Iterable[Downtime]) -> list[str]:
    """Write what clients of each model see."""
    rows = [(item.model or "every model", _downtime(item)) for item in downtimes]
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name.ljust(width)}  {text}" for name, text in rows]


def _downtime(item: Downtime) -> str:
    about = f"about {write_duration(max(1, round(item.expected)))}" if item.expected is not None else ""
    most = f"at most {write_duration(item.bound)}" if item.bound is not None else ""
    spans = " and ".join(span for span in (about, most) if span)
    match item.service:
        case Service.GOES_ON:
            return "goes on: another server answers meanwhile"
        case Service.HELD:
            return f"requests wait, for {spans}" if spans else "requests wait until it is back"
        case Service.DOWN:
            return f"down for {spans}" if spans else "down while it restarts"
        case Service.STARTS:
            return f"starts, in {spans}" if spans else "starts"
        case Service.STOPS:
            return "stops"


def memory_lines(memory: Iterable[GpuChange]) -> list[str]:
    """Write what each GPU whose use changes holds before and after."""
    lines: list[str] = []
    for item in memory:
        changed = [server for server in item.servers if server.before != server.after]
        if item.before == item.after and not changed:
            continue
        lines.append(
            f"GPU {item.gpu.index}  {item.gpu.name}, {format_size(item.gpu.memory)}:"
            f" {format_size(item.before.start)} -> {format_size(item.after.start)} from the start on,"
            f" at most {format_size(item.before.peak)} -> {format_size(item.after.peak)}"
        )
        lines += [
            f"  {', '.join(server.models)}: {_size(server.before)} -> {_size(server.after)}" for server in changed
        ]
    return lines


def plan_data(plan: Plan, outlook: Outlook, place: Callable[[str], Location | None]) -> dict[str, Any]:
    """Return *plan* and what it means as values that JSON has."""
    data = plan.to_dict()
    for action in (*data["actions"], *data["waiting"]):
        action["reasons"] = [mask_line(reason) for reason in action["reasons"]]
        because = outlook.because.get(action["unit"])
        if because is None:
            continue
        action["place"] = _place_data(place(because.origin))
        action["settings"] = [
            {
                "path": cause.path,
                "change": cause.change.value,
                "before": cause.before,
                "after": cause.after,
                "place": _place_data(place(cause.path)),
            }
            for cause in because.causes
        ]
        action["keys"] = [
            {
                "key": _key(change).key,
                "before": [mask_line(value) for value in change.before],
                "after": [mask_line(value) for value in change.after],
            }
            for change in because.keys
        ]
        action["routing"] = [
            {"text": item.text, "path": item.path or None, "place": _place_data(place(item.path))}
            for item in because.news
        ]
    data["memory"] = [item.to_dict() for item in outlook.memory]
    data["downtime"] = [item.to_dict() for item in outlook.downtimes]
    return data


def failure_data(error: ModelGridError, *, generation: int | None) -> dict[str, Any]:
    """Return why a change failed, and the *generation* that is current now, as values that JSON has."""
    failures = error.failures if isinstance(error, ApplyError) else ()
    report = error.report if isinstance(error, ConfigError) else None
    return {
        "generation": generation,
        "changed": False,
        "error": error.message,
        "hint": error.hint,
        "diagnostics": [diagnostic_data(item) for item in report or ()],
        "problems": [
            {"message": item.message, "hint": item.hint or None}
            for item in (error.problems if isinstance(error, Refusal) else ())
        ],
        "failures": [
            {
                "unit": item.unit,
                "model": item.model or None,
                "image": item.image or None,
                "result": item.result,
                "message": str(item),
                "log": [mask_line(line) for line in item.log],
            }
            for item in failures
        ],
    }


def _key(change: ChangedKey) -> KeyChange:
    name = ".".join(change.key) if change.key[0] else "the file"
    return KeyChange(key=name, before=change.before, after=change.after)


def _where(location: Location | None) -> str:
    return f"{location.file}:{location.line}" if location is not None else ""


def _place_data(location: Location | None) -> dict[str, Any] | None:
    return {"file": location.file, "line": location.line, "column": location.column} if location is not None else None


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _size(memory: int | None) -> str:
    if memory is None:
        return "nothing"
    return format_size(memory) if memory else "an unknown amount"


def image_lines(plan: Plan) -> list[str]:
    """Return a line for each image: whether it is there, or what is pulled of it."""
    return [
        f"{item.image}: {'is there' if item.present else _pulled(item)}"
        f"{f', by {item.program}' if item.program != 'podman' else ''}"
        for item in plan.images
    ]


def _pulled(item: Pull) -> str:
    if item.bytes is None:
        return "of a size that no lock file tells"
    # nobody looked: it may be there
    return f"{'' if item.present is False else 'at most '}{format_size(item.bytes)}"
