"""Removes everything of ours from a host, and nothing else: links into our folder, and what we keep in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.events import Event, EventKind, OnEvent
from modelgrid.apply.handover.gateways import Gateways
from modelgrid.apply.handover.rollout import sweep
from modelgrid.apply.jobs import Jobs
from modelgrid.apply.planning.units import Unit, units_of
from modelgrid.apply.probation import end_probation
from modelgrid.apply.recovery_unit import disable_recovery
from modelgrid.apply.store.adoption import adopting_generations, put_back
from modelgrid.apply.store.files import Kind, remove_name, remove_tree, spare_name, sync_folder
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.links import remove_links, stale_links
from modelgrid.apply.store.records import Pending, Phase, Records
from modelgrid.apply.systemd import Verb

if TYPE_CHECKING:
    from modelgrid.apply.host import Host


def tear_down(host: Host, on_event: OnEvent, *, keep_base: bool = False) -> None:
    """Stop all units, remove links, generations, records and the networks. The caller holds the lock.

    With *keep_base* the folder and the lock stay, for a caller that goes on. Begun again after a kill, it goes on where
    it was.
    """
    files, layout = host.files, host.layout
    generations, records = Generations(files, layout), Records(files, layout)
    units: dict[str, Unit] = {}
    for number in generations.numbers():
        units |= units_of(generations.read(number))
    if files.kind(layout.state) is Kind.FOLDER:
        records.begin(Pending(source=generations.current(), target=None, phase=Phase.DESTROY))
    _stop(host, on_event, units)
    sweep(host, Jobs(host, on_event, units, tolerant=True))
    Gateways(host).forget()
    generations.switch(None)
    remove_links(files, layout, stale_links(files, layout, {}, applied=False))
    put_back(host, adopting_generations(files, layout), on_event, start=False)
    host.systemd.daemon_reload()
    for unit in sorted(units):
        host.systemd.reset_failed(unit)
    _remove_containers(host, on_event, units)
    if files.kind(layout.generations) is Kind.FOLDER:
        remove_tree(files, layout.generations)
        # or a power cut could bring parts of them back, without the record that says that they go
        sync_folder(files, layout.base)
    end_probation(host)
    remove_name(files, layout.confirmed)
    remove_name(files, layout.pending)
    disable_recovery(host)
    # but for what was taken over and has no place to go back to
    if files.kind(layout.state) is Kind.FOLDER and files.kind(layout.adopted) is None:
        remove_tree(files, layout.state)
    if not keep_base:
        remove_base(host)


def _remove_containers(host: Host, on_event: OnEvent, units: dict[str, Unit]) -> None:
    """Remove the containers that a kill while they started may have left, and the networks."""
    containers = {(unit.program, unit.container) for unit in units.values() if unit.container}
    for program, name in sorted(containers):
        # docker(1) has no --ignore, and needs none
        host.processes.run(program, "rm", "--force", *(("--ignore",) if program == "podman" else ()), name)
    for program, name in sorted({(unit.program, unit.network) for unit in units.values() if unit.network}):
        done = host.processes.run(program, "network", "rm", name)
        if done.returncode != 0 and "not found" not in done.stderr:
            reason = done.stderr.strip().rpartition("\n")[2]
            on_event(Event(kind=EventKind.WARNING, message=f"{program} does not remove the network {name}: {reason}"))


def _stop(host: Host, on_event: OnEvent, units: dict[str, Unit]) -> None:
    """Stop every unit while systemd still knows how to, in the order that it has for that."""
    states = host.systemd.states(units)
    names = [name for name in sorted(units) if states[name].active != "inactive"]
    for name in names:
        on_event(Event(kind=EventKind.JOB, message=f"stopping {name}", unit=name, model=units[name].model))
    jobs = [host.systemd.enqueue(Verb.STOP, name) for name in names]
    for result in host.systemd.wait(jobs, lambda _result: None) if jobs else ():
        if not result.done:
            message = f"{result.job.unit} does not stop ({result.result})"
            on_event(Event(kind=EventKind.WARNING, message=message, unit=result.job.unit))


def remove_base(host: Host) -> bool:
    """Remove the lock, and the folder if nothing of another is in it (a modelgrid.yaml may be).

    Returns whether the folder was there and is gone.
    """
    files, layout = host.files, host.layout
    remove_name(files, spare_name(layout.current))
    remove_name(files, layout.lock)
    if files.kind(layout.base) is not Kind.FOLDER or files.listdir(layout.base):
        return False
    files.rmdir(layout.base)
    sync_folder(files, layout.base.parent)
    return True
