"""Changes a host: apply, rollback, destroy, and recovery from one of them that was killed.

Each takes the one lock, and records what it is about to do before its first step. What a process that was killed left
is finished or taken back by the next of them.
"""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.activation import Activation
from modelgrid.apply.checks.hostchecks import check_host, managers_of, settled
from modelgrid.apply.checks.preflight import check_stage
from modelgrid.apply.checks.secrets import in_use_after
from modelgrid.apply.drift import refuse_drift
from modelgrid.apply.drift.devices import drivers
from modelgrid.apply.events import ApplyError, Event, EventKind, OnEvent, ignore
from modelgrid.apply.leftovers import images_left
from modelgrid.apply.observe import behind_now, check_tree, plan_now
from modelgrid.apply.planning.plan import Action, Handover, Plan
from modelgrid.apply.planning.planner import with_joins
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.probation import end_probation, put_on_probation, refuse_on_probation
from modelgrid.apply.recovery import is_early, settle, taken_back
from modelgrid.apply.recovery_unit import disable_recovery, enable_recovery
from modelgrid.apply.store.adoption import forget_running, promise, put_back, take_over, to_adopt
from modelgrid.apply.store.files import locked, make_folder
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.records import Behind, Pending, Phase, Probation, Records
from modelgrid.apply.store.retention import DEFAULT, Retention, expired, held_generations
from modelgrid.apply.systemd import Verb
from modelgrid.apply.teardown import remove_base, tear_down
from modelgrid.errors import HostError, ModelGridError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from modelgrid.apply.host import Host
    from modelgrid.emit.artifact import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done. *generation* is the one that is current now; *plan* is empty where nothing had to be done.

    *probation* is there where it was asked for, and anything was changed.
    """

    generation: int | None
    plan: Plan
    probation: Probation | None = None


def apply(
    desired: Sequence[Artifact],
    host: Host,
    *,
    on_event: OnEvent = ignore,
    retention: Retention = DEFAULT,
    adopt: bool = False,
    probation: float | None = None,
    spare_drift: bool = False,
    guard: Callable[[], None] = lambda: None,
) -> Outcome:
    """Make *host* run *desired*, or leave it running what it ran.

    Where units do not come up, the generation before is brought back, running, before this raises. *retention* says
    which generations stay on the host. With *adopt*, what others have put in the way is taken over, and put back where
    this fails; without, it is refused. With *spare_drift*, what somebody changed on the host since the last apply is
    not undone: it is refused. With *probation*, what was there before is back after so many seconds, unless
    :func:`confirm` is called; until then no other apply is taken. *guard* raises where the host is no longer as the
    caller counts on; it is asked before anything is written, and once more when no other process can change it.

    Raises:
        HostError: the host cannot take it, another process is changing it, there is drift that *spare_drift* spares,
            or units do not come up (ApplyError).
        ConfigError: the host's own tools refuse what came of the configuration. Nothing was written.
        InternalError: they refuse what ModelGrid made. Nothing was written.
    """
    with _os_errors():
        check_host(host, managers=managers_of(desired))
        host = settled(host)
        guard()
        # on a fresh host, not even the lock is made for a tree that the host or its tools refuse
        fresh = host.files.kind(host.layout.lock) is None
        if fresh:
            _warn(on_event, check_tree(host, desired, adopt=adopt))
            check_stage(host, desired)
        make_folder(host.files, host.layout.base)
        with locked(host.files, host.layout.lock):
            guard()
            refuse_on_probation(host)
            if spare_drift:
                refuse_drift(host)
            if not fresh:
                _warn(on_event, check_tree(host, desired, adopt=adopt))
            change = _Change(host, on_event, probation=probation)
            return change.apply(desired, retention=retention, checked=fresh, adopt=adopt)


def rollback(
    host: Host, *, to: int | None = None, on_event: OnEvent = ignore, probation: float | None = None
) -> Outcome:
    """Make generation *to* current again; without, the one that the current generation took over from.

    It ends a probation, or is itself on probation for *probation* seconds.

    Raises:
        HostError: there is no such generation, it was altered, or as :func:`apply`.
    """
    with _os_errors():
        check_host(host)
        host = settled(host)
        if host.files.kind(host.layout.lock) is None:
            raise _nothing_applied()
        with locked(host.files, host.layout.lock):
            if probation is not None:
                refuse_on_probation(host)
            return _Change(host, on_event, probation=probation).rollback(to)


def confirm(host: Host) -> int:
    """Keep the change that is on probation, and return its generation.

    Raises:
        HostError: none is on probation, or it was interrupted; another process is changing the host.
    """
    with _os_errors():
        records = Records(host.files, host.layout)
        if host.files.kind(host.layout.lock) is None:
            raise _nothing_applied()
        with locked(host.files, host.layout.lock):
            probation = records.probation()
            if probation is None:
                raise HostError("no change is on probation", hint="what is current says: modelgrid status")
            if records.pending() is not None:
                raise HostError("the change was interrupted", hint="take it back with: modelgrid rollback")
            forget_running(host)
            end_probation(host)
            return probation.generation


def destroy(host: Host, *, on_event: OnEvent = ignore) -> bool:
    """Stop everything and remove what ModelGrid put on *host*; weights, volumes and images stay.

    Returns whether there was anything.

    Raises:
        HostError: the host is not one to change, another process is changing it, or systemd does not answer.
    """
    with _os_errors():
        check_host(host)
        if host.files.kind(host.layout.lock) is None:
            return remove_base(host)
        with locked(host.files, host.layout.lock):
            tear_down(host, on_event)
        return True


def recover(host: Host, *, on_event: OnEvent = ignore, expired: int | None = None) -> bool:
    """Finish a change that was interrupted, or take it back; the recovery unit runs this at boot.

    With *expired*, take back that generation if it is still on probation; its timer runs this.

    After a reboot only files, links and records are seen to, and no unit is waited for (:func:`settle`). Within one
    boot, units may run by either generation: the change is finished as the next :func:`apply` would, or taken back.

    Returns whether there was such a change.

    Raises:
        HostError: as :func:`apply`; or no generation that could be current is whole.
    """
    with _os_errors():
        if host.files.kind(host.layout.lock) is None:
            return False
        with locked(host.files, host.layout.lock):
            return _Change(settled(host), on_event).recover(expired)


class _Change:
    """What the holder of the lock does. Strictly private."""

    def __init__(self, host: Host, on_event: OnEvent, *, probation: float | None = None) -> None:
        self._host = host
        self._probation = probation
        self._on_event = on_event
        self._generations = Generations(host.files, host.layout)
        self._records = Records(host.files, host.layout)

    def apply(self, desired: Sequence[Artifact], *, retention: Retention, checked: bool, adopt: bool) -> Outcome:
        self._generations.make_folders()
        pending = self._pending()
        self._generations.clean()
        current = self._generations.current()
        plan = plan_now(desired, self._host, adoption=to_adopt(self._host, desired, adopt=adopt))
        if pending is None and not plan.files:
            self._repair(desired, current, plan)
            if current is not None and self._records.confirmed() != current:
                # a boot went on from a power cut with it, and nobody had seen it healthy
                self._records.confirm(current)
            self._records.note_drivers(drivers(self._host.files, units_of(desired)))
            return Outcome(generation=current, plan=plan)
        if pending is not None:
            units = units_of(desired)
            plan = with_joins(plan, units, self._host.systemd.states(units))
        damaged = pending is not None and current is not None and bool(self._generations.problems(current))
        if plan.files or damaged:
            if not checked:
                self._tell("asking podman's generator and systemd about the new units")
                check_stage(self._host, desired)
            parent = current if pending is None else pending.source
            target = self._write(desired, parent)
            change = _next(pending, source=parent, target=target, made=True)
        else:
            # the change that was interrupted was to the same tree: it is finished under its own number
            assert current is not None
            change = _next(pending, source=current, target=current, made=False)
        self._activate(change, desired, plan)
        self._prune(retention, made=change.made)
        return Outcome(generation=change.target, plan=plan, probation=self._records.probation())

    def rollback(self, to: int | None) -> Outcome:
        pending = self._pending()
        if pending is not None:
            self._tell("taking back a change that was interrupted")
            self._back(pending)
        source = self._generations.current()
        if source is None:
            raise _nothing_applied()
        if pending is not None and to is None:
            return Outcome(generation=source, plan=Plan())
        target = self._generations.parent(source) if to is None else to
        if target is None or target not in self._generations.numbers():
            missing = (
                f"there is no generation {target}" if to is not None else f"there is no generation before {source}"
            )
            raise HostError(missing, hint="see which there are with: modelgrid generations")
        if problems := self._generations.problems(target):
            raise HostError(f"generation {target} was altered: {problems[0]}", hint="roll back to another one")
        tree = self._generations.read(target)
        check_host(self._host, managers=managers_of(tree))
        _warn(self._on_event, check_tree(self._host, tree))
        check_stage(self._host, tree)
        plan = plan_now(tree, self._host)
        if target == source:
            self._repair(tree, target, plan)
        else:
            self._activate(_next(None, source=source, target=target, made=False), tree, plan)
            if self._probation is None:
                end_probation(self._host)
        return Outcome(generation=target, plan=plan, probation=self._records.probation())

    def recover(self, expired: int | None) -> bool:
        pending, probation = self._records.pending(), self._records.probation()
        if expired is not None and (probation is None or probation.generation != expired):
            return False
        rebooted = self._records.rebooted()
        if rebooted and is_early(self._host):
            settle(self._host, self._on_event)
            return True
        if probation is not None and (rebooted or expired is not None):
            pending = taken_back(pending, probation)
            assert pending is not None
            self._records.begin(pending)
        if pending is None:
            return False
        if pending.phase is Phase.DESTROY:
            tear_down(self._host, self._on_event)
            return True
        current = self._generations.current()
        forward = pending.phase is Phase.FORWARD and current is not None and current == pending.target
        if forward and current is not None and not self._generations.problems(current):
            self._tell("finishing a change that was interrupted")
            tree = self._generations.read(current)
            change = _next(pending, source=current, target=current, made=False)
            self._activate(change, tree, plan_now(tree, self._host))
        else:
            late = probation is not None and pending.target == probation.generation
            self._tell(f"taking back a change that {'was not confirmed' if late else 'was interrupted'}")
            self._back(pending)
        return True

    def _pending(self) -> Pending | None:
        """Return a change that was interrupted, but for one of which nothing is left to do after this."""
        pending = self._records.pending()
        if pending is None:
            return None
        current = self._generations.current()
        if pending.phase is Phase.DESTROY:
            self._tell("finishing a destroy that was interrupted")
            tear_down(self._host, self._on_event, keep_base=True)
            self._generations.make_folders()
            return None
        if current == pending.target and self._records.confirmed() == current and pending.phase is Phase.FORWARD:
            self._records.end()
            return None
        return pending

    def _repair(self, tree: Sequence[Artifact], number: int | None, plan: Plan) -> None:
        """Bring up what is down though no file changes. There is nothing to go back to."""
        if plan.empty:
            return
        try:
            places = [Path(place) for place in plan.adopts]
            if number is not None:
                promise(self._host, number, places)
                take_over(self._host, number, places, self._on_event)
            # systemd has read all of it, but for links that were lost or taken over, and stand-ins
            reload = bool(plan.links or places) or any(item.handover is Handover.BESIDE for item in plan.actions)
            Activation(self._host, self._on_event, tree=tree, number=number).carry_out(plan, reload=reload)
            forget_running(self._host)
            self._records.remember(in_use_after(self._host, plan))
        except ApplyError as error:
            raise error.ending(f"generation {number} stays current") from error

    def _activate(self, pending: Pending, tree: Sequence[Artifact], plan: Plan) -> None:
        assert pending.target is not None
        activation = Activation(self._host, self._on_event, tree=tree, number=pending.target)
        places = [Path(place) for place in plan.adopts]
        try:
            enable_recovery(self._host)
            promise(self._host, pending.target, places)
            self._records.begin(pending)
            take_over(self._host, pending.target, places, self._on_event)
            activation.carry_out(plan)
            # killed before the next line, it would at worst restart a user of a secret again
            self._records.remember(in_use_after(self._host, plan))
            if self._probation is not None:
                put_on_probation(self._host, generation=pending.target, back_to=pending.source, seconds=self._probation)
            self._records.confirm(
                pending.target,
                behind=self._behind(plan, pending.source),
                drivers=drivers(self._host.files, units_of(tree)),
            )
        except (ModelGridError, OSError, KeyboardInterrupt) as error:
            outcome = f"generation {pending.source} runs again" if pending.source else "nothing runs, as before"
            try:
                self._tell("going back")
                self._back(pending, touched=activation.touched)
            except (ModelGridError, OSError) as second:
                raise HostError(
                    f"{_said(error)}; and going back failed: {_said(second)}",
                    hint="mend what the second part names, then apply again: it goes on from here",
                ) from error
            if isinstance(error, ApplyError):
                raise error.ending(outcome) from error
            if isinstance(error, KeyboardInterrupt):
                raise
            raise HostError(f"{_said(error)}; {outcome}", hint=_way_out(error)) from error

    def _behind(self, plan: Plan, source: int | None) -> Mapping[str, Behind]:
        """Return what goes on by an older definition after *plan*, which came from generation *source*."""
        if not plan.waiting or source is None:
            return {}
        before = behind_now(self._host)
        return {
            item.unit: before.get(item.unit)
            or Behind(generation=source, invocation=self._host.systemd.invocation(item.unit))
            for item in plan.waiting
        }

    def _back(self, pending: Pending, *, touched: AbstractSet[str] | None = None) -> None:
        """Bring the generation before back. What fails to start in it is told and does not stop this.

        *touched* are the units that this process queued jobs for; none where another did.
        """
        source, current = pending.source, self._generations.current()
        if source is not None and (problems := self._generations.problems(source)):
            raise HostError(
                f"generation {source} was altered, and so cannot be brought back: {problems[0]}",
                hint=f"restore it, or remove {self._host.layout.pending} and apply again",
            )
        tree = () if source is None else self._generations.read(source)
        if current != source and pending.phase is not Phase.BACK:
            pending = replace(pending, phase=Phase.BACK)
            self._records.begin(pending)
        plan = plan_now(tree, self._host)
        if touched is not None and set(pending.lefts) <= {pending.target}:
            # no other change was interrupted before: whatever was not touched runs as the generation before has it
            kept = (item for item in plan.actions if item.verb is not Verb.RESTART or item.unit in touched)
            plan = replace(plan, actions=tuple(_surely(item, touched) for item in kept))
        Activation(self._host, self._on_event, tree=tree, number=source, tolerant=True).carry_out(plan)
        probation = self._records.probation()
        ended = probation is not None and probation.generation == pending.target
        undone = {*pending.made, *((pending.target,) if ended and pending.target is not None else ())}
        put_back(self._host, undone, self._on_event, start=True)
        for number in pending.made:
            if number in self._generations.numbers():
                self._generations.remove(number)
        if ended:
            if source is not None:
                running = drivers(self._host.files, units_of(tree))
                self._records.confirm(source, behind=behind_now(self._host), drivers=running)
            end_probation(self._host)
        self._records.end()
        if source is None:
            disable_recovery(self._host)

    def _write(self, desired: Sequence[Artifact], parent: int | None) -> int:
        try:
            left = images_left(self._generations, desired)
            number = self._generations.write(desired, parent=parent, created=self._host.now(), images_left=left)
        except OSError:
            with contextlib.suppress(OSError):
                self._generations.clean()
            raise
        self._tell(f"wrote generation {number}")
        return number

    def _prune(self, retention: Retention, *, made: Sequence[int]) -> None:
        """Remove old generations, and those of interrupted changes that this one came instead of."""
        generations, held = self._generations, held_generations(self._generations, self._records)
        try:
            if self._records.probation() is None:
                forget_running(self._host)
            for number in sorted({*made}.intersection(generations.numbers()) - held):
                generations.remove(number)
            for number in expired(generations.list(), retention, held=held, now=self._host.now()):
                generations.remove(number)
        except OSError as error:
            # the change is done and confirmed: what is left over is removed next time
            self._on_event(Event(kind=EventKind.WARNING, message=f"old generations stay: {_said(error)}"))

    def _tell(self, message: str) -> None:
        self._on_event(Event(kind=EventKind.STEP, message=message))


def _surely(action: Action, touched: AbstractSet[str]) -> Action:
    """Return *action* as it must be where a job of this process may still be under way for the unit.

    A unit that looks down may be half through a restart, and would come up by the definition that is taken back; a
    start would only join that.
    """
    return replace(action, verb=Verb.RESTART) if action.verb is Verb.START and action.unit in touched else action


def _next(before: Pending | None, *, source: int | None, target: int, made: bool) -> Pending:
    """Return the record of a change to *target*, which goes on from an interrupted one where there is one *before*."""
    return Pending(
        source=source if before is None else before.source,
        target=target,
        phase=Phase.FORWARD,
        made=(*(before.made if before else ()), *((target,) if made else ())),
        lefts=tuple(dict.fromkeys((*(before.lefts if before else ()), target))),
    )


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(_said(error), hint=_way_out(error)) from error


def _way_out(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "make room there, then apply again"
    return getattr(error, "hint", None)


def _warn(on_event: OnEvent, notes: Sequence[str]) -> None:
    for note in notes:
        on_event(Event(kind=EventKind.WARNING, message=note))


def _said(error: BaseException) -> str:
    if isinstance(error, ModelGridError):
        return error.message
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return "interrupted"


def _nothing_applied() -> HostError:
    return HostError("nothing is applied on this host", hint="modelgrid apply makes the first generation")
