"""What happens at boot to a change that a power cut interrupted: files, links and records fit one generation again.

Nothing of ours runs yet, so there is nothing to stop, and no unit is waited for: bringing up what is current is
systemd's work of every boot. A unit of the host's own runs it, there from the first change on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.events import Event, EventKind, OnEvent
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.recovery_unit import disable_recovery
from modelgrid.apply.store.adoption import put_back
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.links import links_of, make_links, missing_links, remove_links, stale_links
from modelgrid.apply.store.records import Pending, Phase, Probation, Records
from modelgrid.apply.systemd import Verb
from modelgrid.apply.teardown import tear_down
from modelgrid.emit.names import TARGET
from modelgrid.errors import HostError
from modelgrid.ir import Manager

#: What the recovery unit comes before.
_BASIC = "basic.target"

if TYPE_CHECKING:
    from pathlib import Path

    from modelgrid.apply.host import Host


def is_early(host: Host) -> bool:
    """Say whether the boot is not yet where units of ours may start, as far as systemd says.

    Raises:
        HostError: systemd does not answer.
    """
    return not host.systemd.states([_BASIC])[_BASIC].up


def settle(host: Host, on_event: OnEvent) -> None:
    """Bring a change that an earlier boot left to its end: forward where what is current is whole, else back.

    One that was on probation is taken back.

    The caller holds the lock, and no unit of ours has been started in this boot.

    Raises:
        HostError: no generation that could be current is whole, or systemd does not answer.
        OSError: a file cannot be written.
    """
    files, layout = host.files, host.layout
    generations, records = Generations(files, layout), Records(files, layout)
    probation = records.probation()
    pending = taken_back(records.pending(), probation)
    if pending is None:
        return
    if pending.phase is Phase.DESTROY:
        _settle_destroy(host, on_event, generations)
        return
    generations.clean()
    current = generations.current()
    goal = _goal(generations, pending, current, host.layout.pending)
    links = links_of(() if goal is None else generations.read(goal), layout)
    stale = stale_links(files, layout, links, applied=goal is not None)
    changed = goal != current or bool(stale) or bool(missing_links(files, links))
    make_links(files, layout, links)
    if goal != current:
        generations.switch(goal)
    remove_links(files, layout, stale)
    if goal not in {*pending.made, pending.target}:
        undone = {*pending.made, *((probation.generation,) if probation is not None else ())}
        changed |= put_back(host, undone, on_event, start=False)
    if changed:
        host.systemd.daemon_reload()
    kept = {goal, None if goal is None else generations.parent(goal)}
    for number in pending.made:
        if number in generations.numbers() and number not in kept:
            generations.remove(number)
    records.end()
    # its timer did not outlive the boot
    records.end_probation()
    told = "nothing is applied" if goal is None else f"generation {goal} is current"
    on_event(Event(kind=EventKind.STEP, message=f"a change was interrupted: {told}"))
    if goal is None:
        disable_recovery(host)
    elif changed and files.readlink(layout.wants_link) is not None:
        # the boot has counted its units already; more of them may be wanted now
        host.systemd.enqueue(Verb.START, TARGET)


def taken_back(pending: Pending | None, probation: Probation | None) -> Pending | None:
    """Return *pending* as it is when the change on *probation* is taken back with it; none where nothing is to do."""
    if probation is None or (pending is not None and pending.phase is Phase.DESTROY):
        return pending
    generation = probation.generation
    return Pending(
        source=probation.back_to,
        target=generation,
        phase=Phase.BACK,
        # of a first change nothing stays, as of one that fails
        made=pending.made if pending is not None else (generation,) if probation.back_to is None else (),
        lefts=pending.lefts if pending is not None else (generation,),
    )


def _goal(generations: Generations, pending: Pending, current: int | None, record: Path) -> int | None:
    """Return the generation that is to be current; none for none."""
    forward = current is not None and not generations.problems(current)
    if forward and pending.phase is Phase.FORWARD:
        return current
    if pending.source is None:
        return None
    problems = generations.problems(pending.source)
    if problems and not forward:
        raise HostError(
            f"generation {pending.source} was altered, and so cannot be brought back: {problems[0]}",
            hint=f"restore it, or remove {record} and apply again",
        )
    return current if problems else pending.source


def _settle_destroy(host: Host, on_event: OnEvent, generations: Generations) -> None:
    units = [unit for number in generations.numbers() for unit in units_of(generations.read(number)).values()]
    if any(unit.manager is Manager.DOCKER for unit in units):
        # its daemon comes later in the boot, and its containers with it: who goes on with the destroy removes them
        remove_links(host.files, host.layout, stale_links(host.files, host.layout, {}, applied=False))
        host.systemd.daemon_reload()
        on_event(Event(kind=EventKind.WARNING, message="a destroy was interrupted: run modelgrid destroy again"))
    else:
        tear_down(host, on_event)
