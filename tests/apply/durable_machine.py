"""A host on a disk in memory, and what must hold of that disk after any power cut."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.checks.hostchecks import Conflicts, find_conflicts
from modelgrid.apply.execute import apply, recover
from modelgrid.apply.host import Host
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.store.files import Kind
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.layout import Layout
from modelgrid.apply.store.links import links_of, missing_links, owned_links
from modelgrid.apply.store.records import Phase, Records
from modelgrid.apply.systemd import Verb
from tests.apply.checks import assert_runs
from tests.apply.durable_disk import ROOT, DurableDisk, State
from tests.apply.fakes import FakeProcesses, FakeSystemd, Machine
from tests.apply.foreign import FILES
from tests.apply.trees import GATEWAY, TARGET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.apply.store.files import FileSystem
    from modelgrid.emit.artifact import Artifact

#: Files of others.
FOREIGN = {
    Path("/etc/systemd/system/other.service"): b"[Service]\nExecStart=/usr/bin/other\n",
    Path("/etc/containers/registries.conf"): b"",
}
#: The same, and one in ModelGrid's own folder.
FOREIGN_AMONG_OURS = {**FOREIGN, Path("/etc/modelgrid/modelgrid.yaml"): b"version: 1\n"}

#: The same, and what is in the way of every tree.
FOREIGN_IN_THE_WAY = {**FOREIGN, **{Path(path): content.encode() for path, content in FILES.items()}}


class BootedSystemd(FakeSystemd):
    """A manager that ignores wishes for units that it does not know, as systemd does."""

    def _wanted_by_target(self) -> list[str]:
        return [name for name in super()._wanted_by_target() if name in self._loaded]


class DurableMachine(Machine):
    """A host whose files are on *disk*, with *foreign* ones among them. No folder is behind it."""

    def __init__(self, disk: FileSystem, foreign: Mapping[Path, bytes]) -> None:
        self.foreign = foreign
        self.root = Path("/nowhere")
        self.layout = Layout.system()
        self.files = disk
        self.systemd = BootedSystemd(disk, self.layout)
        self.processes = FakeProcesses()
        self.gateway_deaf = False

    def process(self) -> Host:
        """The seams as a new process has them."""
        return Host(
            layout=self.layout,
            files=self.files,
            systemd=self.systemd,
            processes=self.processes,
            user=0,
            ask_gateway=lambda listen: self.manifest_in_use(),
            now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            sleep=lambda seconds: None,
        )

    def boot(self) -> None:
        """Start what systemd starts by itself: the recovery unit where it has its condition, then what is wanted."""
        self.systemd.daemon_reload()
        if self.pending() is not None:
            assert missing_links(self.files, self.layout.recovery_links) == {}
            assert b"ExecStart=" in self.files.read(self.layout.recovery_unit)
            recover(self.process())
        if self.files.kind(self.layout.wants_link) is not None and TARGET in self.systemd.states([TARGET]):
            wanted = self.systemd.states([TARGET])[TARGET]
            if wanted.load == "loaded":
                self.systemd.enqueue(Verb.START, TARGET)

    def manifest_in_use(self) -> str | None:
        path = self.layout.current / "routing.json"
        if self.gateway_deaf or GATEWAY not in self.systemd.running or self.files.kind(path) is None:
            return None
        return hashlib.sha256(self.files.read(path)).hexdigest()

    def current(self) -> int | None:
        return Generations(self.files, self.layout).current()

    def pending(self) -> dict[str, object] | None:
        if self.files.kind(self.layout.pending) is None:
            return None
        found: dict[str, object] = json.loads(self.files.read(self.layout.pending))
        return found


def machine_on(state: State, foreign: Mapping[Path, bytes]) -> DurableMachine:
    """Return a host whose disk is in *state*, switched off until `boot`. What was in /run is lost: that is memory."""
    state = state.copy()
    state.names[ROOT].pop("run", None)
    disk = DurableDisk(state)
    disk.recording = False
    _make_folders(disk, Path("/run/systemd/system"))
    _listen(disk)
    return DurableMachine(disk, foreign)


def new_disk(foreign: Mapping[Path, bytes] = FOREIGN) -> DurableDisk:
    """Return the disk of a host that nothing was applied to, with the files *foreign*."""
    disk = DurableDisk()
    for folder in ("/run/systemd/system", "/etc/systemd/system/multi-user.target.wants", "/etc/containers"):
        _make_folders(disk, Path(folder))
    _listen(disk)
    for path, content in foreign.items():
        _make_folders(disk, path.parent)
        descriptor = disk.open_new(path, 0o644)
        disk.write(descriptor, content)
        disk.close(descriptor)
    return disk


def _listen(disk: DurableDisk) -> None:
    """Make the socket that every run of systemd makes anew."""
    disk.close(disk.open_new(Path("/run/systemd/notify"), 0o777))


def _make_folders(disk: DurableDisk, path: Path) -> None:
    for folder in reversed((path, *path.parents)):
        if disk.kind(folder) is None:
            disk.mkdir(folder)


def assert_recovers(machine: DurableMachine, following: Sequence[Artifact]) -> None:
    """A host that was just booted takes *following* as if nothing had happened."""
    apply(following, machine.process(), adopt=machine.foreign is FOREIGN_IN_THE_WAY)
    assert_ends(machine, following)


def assert_whole(machine: DurableMachine, allowed: Sequence[Sequence[Artifact] | None]) -> None:
    """What is current, and every generation that has a number, is whole, linked, and one of *allowed*."""
    files, layout = machine.files, machine.layout
    # what was taken over is kept below the folder of its generation
    kept = [layout.adopted / number for number in files.listdir(layout.adopted)]
    for path, content in machine.foreign.items():
        found = [
            place
            for place in (path, *(folder / path.relative_to("/") for folder in kept))
            if files.kind(place) is Kind.FILE
        ]
        assert [files.read(place) for place in found] == [content], path
    generations, records = Generations(files, layout), Records(files, layout)
    number, pending = generations.current(), records.pending()
    if number is None:
        assert None in allowed, "no generation is current"
    if pending is None or pending.phase is not Phase.DESTROY or number is not None:
        problems = {found: generations.problems(found) for found in generations.numbers()}
        assert {found: faults for found, faults in problems.items() if faults} == {}
    if number is None:
        return
    assert number in generations.numbers(), f"generation {number} is current and is not there"
    tree = generations.read(number)
    assert tree in [None if known is None else tuple(sorted(known)) for known in allowed], "an unknown tree is current"
    assert missing_links(files, links_of(tree, layout)) == {}
    assert find_conflicts(machine.process(), tree) == Conflicts()
    assert files.readlink(layout.wants_link) == str(layout.unit_target(TARGET)), "nothing would start at boot"


def assert_boots(machine: DurableMachine) -> None:
    """After the boot, what the current generation wants runs by it, nothing else of ours does, and nothing is left."""
    assert machine.pending() is None
    generations = Generations(machine.files, machine.layout)
    number = generations.current()
    units = {} if number is None else units_of(generations.read(number))
    running = machine.systemd.running
    assert {name for name, unit in units.items() if unit.wanted} <= running.keys()
    assert running.keys() <= units.keys()


def assert_ends(machine: DurableMachine, tree: Sequence[Artifact], *, cut: bool = False) -> None:
    """The host runs *tree*, and nothing unfinished is on its disk.

    After a power *cut* a generation that was being removed may be there again, by the name of such.
    """
    files, layout = machine.files, machine.layout
    assert_whole(machine, [tree])
    assert_runs(machine, tree)
    links = {*links_of(tree, layout), layout.wants_link, *layout.recovery_links}
    assert {path for path in owned_links(files, layout) if layout.owns(files.readlink(path) or "")} == links
    number = Generations(files, layout).current()
    assert Records(files, layout).confirmed() == number
    _assert_tidy(machine, {"current", "generations", "lock", "state"}, cut=cut)
    adopted = {"adopted"} if machine.foreign is FOREIGN_IN_THE_WAY else set()
    state = {"confirmed.json", "lineage.json", layout.recovery_unit.name}
    assert set(files.listdir(layout.state)) == state | adopted


def assert_nothing_applied(machine: DurableMachine, *, destroyed: bool, cut: bool = False) -> None:
    """No generation, link or record is there. The empty folders and the lock are, unless it was *destroyed*."""
    files, layout = machine.files, machine.layout
    assert_whole(machine, [None])
    assert {path: files.read(path) for path in machine.foreign if files.kind(path)} == machine.foreign
    assert owned_links(files, layout) == ()
    _assert_tidy(machine, set() if destroyed else {"generations", "lock", "state"}, cut=cut)
    assert Generations(files, layout).numbers() == ()
    assert "modelgrid.target.wants" not in files.listdir(layout.unit_folder)
    if destroyed and not any(path.parent == layout.base for path in machine.foreign):
        assert files.kind(layout.base) is None


def _assert_tidy(machine: DurableMachine, ours: set[str], *, cut: bool) -> None:
    files, layout = machine.files, machine.layout
    assert set(files.listdir(layout.base)) - {"modelgrid.yaml"} == ours
    folders = (layout.state, layout.unit_folder, layout.quadlet_link.parent)
    assert [name for folder in folders for name in files.listdir(folder) if name.startswith(".")] == []
    numbers = {str(number) for number in Generations(files, layout).numbers()}
    assert {name for name in files.listdir(layout.generations) if not (cut and name.startswith(".old-"))} == numbers
