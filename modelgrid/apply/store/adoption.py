"""Takes over what is in the way: files, links and folders of others, kept beside the generations and put back.

What is taken over for generation N lies in ``state/adopted/N`` by the path that it had, and ``state/adopted/N.json``
says so: it is written before the change is recorded, and goes when all are back. Each moves by one rename(2), so it
is in one of the two places whatever happens. It is never removed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from modelgrid.apply.checks.hostchecks import find_conflicts
from modelgrid.apply.events import Event, EventKind, OnEvent
from modelgrid.apply.planning.plan import Action, NetworkRemoval, Plan, Wave
from modelgrid.apply.planning.units import Role
from modelgrid.apply.store.files import (
    FileSystem,
    Kind,
    make_folder,
    remove_name,
    remove_tree,
    replace_file,
    sync_folder,
    walk,
)
from modelgrid.apply.store.records import Records
from modelgrid.apply.systemd import Verb
from modelgrid.emit.artifact import QUADLETS
from modelgrid.emit.names import unit_name
from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.units import Unit
    from modelgrid.apply.store.layout import Layout
    from modelgrid.apply.systemd import UnitState
    from modelgrid.emit.artifact import Artifact

RECORD_VERSION = 1

#: What systemd loads by its name alone.
_UNITS = frozenset({".service", ".target", ".timer", ".socket", ".path", ".mount", ".slice"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What was taken over for one generation.

    Attributes:
        kept: where each lies now, by the place that it had.
        running: units of it that ran, and were stopped for it; none once the change came up.
    """

    kept: Mapping[Path, Path]
    running: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What a change takes over: *places*, and the *units* in them, those included that one before left running."""

    places: tuple[Path, ...] = ()
    units: tuple[str, ...] = ()


NO_ADOPTION = Adoption()


def to_adopt(host: Host, tree: Sequence[Artifact], *, adopt: bool) -> Adoption:
    """Return what is in the way of *tree* and is to be taken over.

    That is all of it where *adopt* says so, and otherwise what a change that was interrupted had begun to take over.
    """
    files = host.files
    places = find_conflicts(host, tree).adoptable
    if places and not adopt:
        promised = _promised(host)
        places = tuple(path for path in places if path in promised)
    left = (unit for number in adopting_generations(files, host.layout) for unit in adopted(host, number).running)
    return Adoption(places=places, units=tuple(sorted({*units_at(files, places), *left})))


def units_at(files: FileSystem, places: Iterable[Path]) -> tuple[str, ...]:
    """Return the names of the units that the files at *places* are or yield, sorted."""
    names = set()
    for place in places:
        if place.parent.name.endswith(".wants"):
            continue
        folder = files.resolve(place)
        for path in walk(files, folder) if files.kind(folder) is Kind.FOLDER else [place.name]:
            name = PurePosixPath(path)
            unit = name.name if name.suffix in _UNITS else unit_name(f"{QUADLETS}/{name.name}")
            if unit is not None:
                names.add(unit)
    return tuple(sorted(names))


def with_adoption(plan: Plan, adoption: Adoption, wanted: Mapping[str, Unit], states: Mapping[str, UnitState]) -> Plan:
    """Add *adoption* to *plan*: units in it that run are stopped while they can be. *wanted* are those of the tree."""
    running = [name for name in adoption.units if not states[name].down and not states[name].masked]
    planned = {action.unit: action for action in plan.actions}
    actions = [action for action in plan.actions if action.unit not in running]
    for name in running:
        ours = wanted.get(name)
        model = ours.model if ours else ""
        stopped = "it is of another, and is taken over"
        actions.append(Action(wave=Wave.BEFORE, verb=Verb.STOP, unit=name, model=model, reasons=(stopped,)))
        if ours is not None:
            before = planned.get(name)
            reasons = before.reasons if before else ("what was in its place is taken over",)
            wave = Wave.PULL if ours.role is Role.IMAGE else Wave.RUN
            actions.append(Action(wave=wave, verb=Verb.START, unit=name, model=model, reasons=reasons))
    # what exists is never changed by podman
    removals = (wanted[name] for name in running if name in wanted and wanted[name].network)
    order = {wave: index for index, wave in enumerate(Wave)}
    return replace(
        plan,
        adopts=tuple(map(str, adoption.places)),
        actions=tuple(sorted(actions, key=lambda action: (order[action.wave], action.unit))),
        networks=(
            *(NetworkRemoval(wave=Wave.BEFORE, program=unit.program, name=unit.network) for unit in removals),
            *plan.networks,
        ),
        unchanged=tuple(name for name in plan.unchanged if name not in running),
    )


def promise(host: Host, number: int, places: Sequence[Path]) -> None:
    """Write down that *places* are to be taken over for generation *number*. Nothing is moved yet."""
    if not places:
        return
    files, layout = host.files, host.layout
    before = adopted(host, number)
    units = units_at(files, places)
    states = host.systemd.states(units)
    kept = dict(before.kept)
    for place in places:
        if place not in kept or files.kind(kept[place]) is not None:
            kept[place] = _free(files, layout.adopted / str(number) / place.relative_to("/"))
    running = {*before.running, *(unit for unit in units if not states[unit].down)}
    make_folder(files, layout.adopted)
    _write(host, number, Adopted(kept=kept, running=tuple(sorted(running))))


def take_over(host: Host, number: int, places: Sequence[Path], on_event: OnEvent) -> None:
    """Move what is at *places*, which are promised, to where generation *number* keeps what it took over."""
    kept = adopted(host, number).kept
    for place in places:
        make_folder(host.files, kept[place].parent)
        _move(host.files, place, kept[place])
        message = f"took over {place}, which is kept as {kept[place]}"
        on_event(Event(kind=EventKind.STEP, message=message))


def forget_running(host: Host) -> None:
    """Forget which units ran in what was taken over: the change came up, and they are not started again."""
    for number in adopting_generations(host.files, host.layout):
        found = adopted(host, number)
        if found.running:
            _write(host, number, replace(found, running=()))


def put_back(host: Host, numbers: Iterable[int], on_event: OnEvent, *, start: bool) -> bool:
    """Put back what was taken over for generations *numbers*, the latest first; with *start*, start what ran.

    Returns whether there was anything.

    What has no place any more, for another file is there, stays where it is kept, and is told. systemd reads its files
    anew only with *start*: without, the caller does that.
    """
    files, layout = host.files, host.layout
    running: set[str] = set()
    anything = False
    for number in sorted(numbers, reverse=True):
        found = adopted(host, number)
        running |= set(found.running)
        anything |= bool(found.kept)
        moved = [_put_back(host, place, kept, on_event) for place, kept in sorted(found.kept.items())]
        folder = layout.adopted / str(number)
        if all(moved):
            if files.kind(folder) is Kind.FOLDER and not any(walk(files, folder)):
                remove_tree(files, folder)
            remove_name(files, _record(layout, number))
    for name in files.listdir(layout.adopted):
        if name.startswith("."):
            # the spare of a record, which a killed process had not written to its end
            files.unlink(layout.adopted / name)
    if files.kind(layout.adopted) is Kind.FOLDER and not files.listdir(layout.adopted):
        # an empty folder that is there again after a power cut is none the worse
        files.rmdir(layout.adopted)
    if start and running:
        _start(host, running, on_event)
    return anything


def _put_back(host: Host, place: Path, kept: Path, on_event: OnEvent) -> bool:
    """Move what is at *kept* to *place*, where a link of ours may be; say whether nothing is left at *kept*."""
    files = host.files
    if files.kind(kept) is None:
        return True
    target = files.readlink(place)
    if target is not None and host.layout.owns(target):
        remove_name(files, place)
    if files.kind(place) is not None:
        message = f"{kept} is not put back: something else is at {place}"
        on_event(Event(kind=EventKind.WARNING, message=message))
        return False
    make_folder(files, place.parent)
    _move(files, kept, place)
    on_event(Event(kind=EventKind.STEP, message=f"put back {place}"))
    return True


def adopted(host: Host, number: int) -> Adopted:
    """Return what was taken over for generation *number*.

    Raises:
        HostError: the record is not one that this version can read.
    """
    path = _record(host.layout, number)
    try:
        data: Any = json.loads(host.files.read(path))
        if data["record_version"] == RECORD_VERSION:
            kept = {Path(place): Path(where) for place, where in data["kept"].items()}
            return Adopted(kept=kept, running=tuple(map(str, data["running"])))
    except FileNotFoundError:
        return Adopted(kept={}, running=())
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    raise HostError(f"{path} is not a record of this ModelGrid", hint="use the version that wrote it, or move it away")


def adopting_generations(files: FileSystem, layout: Layout) -> tuple[int, ...]:
    """Return the generations that something was taken over for, in order."""
    names = (name.removesuffix(".json") for name in files.listdir(layout.adopted) if name.endswith(".json"))
    return tuple(sorted(int(name) for name in names if name.isdecimal()))


def _promised(host: Host) -> frozenset[Path]:
    """Return the places that a change under way had begun to take over."""
    pending = Records(host.files, host.layout).pending()
    numbers = pending.made if pending is not None else ()
    return frozenset(place for number in numbers for place in adopted(host, number).kept)


def _write(host: Host, number: int, found: Adopted) -> None:
    fields = {
        "kept": {str(place): str(path) for place, path in sorted(found.kept.items())},
        "record_version": RECORD_VERSION,
        "running": list(found.running),
    }
    text = json.dumps(fields, indent=2, sort_keys=True)
    replace_file(host.files, _record(host.layout, number), f"{text}\n".encode(), 0o644)


def _start(host: Host, units: Iterable[str], on_event: OnEvent) -> None:
    host.systemd.daemon_reload()
    states = host.systemd.states(units)
    down = sorted(unit for unit, state in states.items() if state.down and state.load == "loaded")
    for unit in down:
        on_event(Event(kind=EventKind.JOB, message=f"starting {unit}, which ran before", unit=unit))
    jobs = [host.systemd.enqueue(Verb.START, unit) for unit in down]
    for result in host.systemd.wait(jobs, lambda _result: None) if jobs else ():
        if not result.done:
            message = f"{result.job.unit} does not start again ({result.result})"
            on_event(Event(kind=EventKind.WARNING, message=message, unit=result.job.unit))


def _move(files: FileSystem, source: Path, target: Path) -> None:
    files.rename(source, target)
    # the file system writes a rename as one change: that it is in the one folder means that it left the other
    sync_folder(files, target.parent)


def _free(files: FileSystem, path: Path) -> Path:
    """Return *path*, or the first name like it that nothing has: the same place may be taken over twice."""
    count = 1
    free = path
    while files.kind(free) is not None:
        count += 1
        free = path.with_name(f"{path.name}~{count}")
    return free


def _record(layout: Layout, number: int) -> Path:
    return layout.adopted / f"{number}.json"
