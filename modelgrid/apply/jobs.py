"""Jobs of systemd for a change: queued together, waited for, told, and failures gathered with their journals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.events import ApplyError, Event, EventKind, OnEvent, UnitFailure
from modelgrid.apply.journal import last_lines
from modelgrid.apply.planning.units import Role
from modelgrid.apply.systemd import JobResult, Verb
from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.plan import Action
    from modelgrid.apply.planning.units import Unit

#: What a job may come to and still be well: an image that is there already skips its pull.
_WELL = frozenset({"done", "skipped"})

#: Lines of a failed unit's journal that are told.
_LOG_LINES = 20

_PHRASES = {Verb.START: "starting", Verb.STOP: "stopping", Verb.RESTART: "restarting", Verb.RELOAD: "reloading"}

#: Roles of units that stay up once they are started.
_LASTING = frozenset({Role.SERVICE, Role.GATEWAY, Role.TARGET})


class Jobs:
    """The jobs of one change on *host*, for *units* by name.

    Attributes:
        tolerant: whether what fails is told and does not stop the change.
        touched: units that a job was queued for.
    """

    def __init__(self, host: Host, on_event: OnEvent, units: Mapping[str, Unit], *, tolerant: bool) -> None:
        self._host = host
        self._on_event = on_event
        self._units = units
        self._begun = host.now()
        self.tolerant = tolerant
        self.touched: set[str] = set()

    def run(self, actions: Sequence[Action]) -> list[UnitFailure]:
        """Queue *actions* together, wait for all, and return what failed."""
        return self.queue([(action.verb, action.unit, action.model) for action in actions if action.queued])

    def queue(self, jobs: Iterable[tuple[Verb, str, str]]) -> list[UnitFailure]:
        """Do the same for jobs given as verb, unit and model."""
        self._begun = self._host.now()
        systemd = self._host.systemd
        wanted = list(jobs)
        states = systemd.states(unit for _, unit, _ in wanted)
        models = {unit: model for _, unit, model in wanted}
        queued = []
        failures = []
        for verb, unit, model in wanted:
            if verb is not Verb.STOP and states[unit].active == "failed":
                # or it would be refused for having been started too often
                systemd.reset_failed(unit)
            self.tell(EventKind.JOB, f"{_PHRASES[verb]} {unit}", unit=unit, model=model)
            self.touched.add(unit)
            try:
                queued.append(systemd.enqueue(verb, unit))
            except HostError as error:
                failures.append(self.failure(unit, error.message))

        def heard(result: JobResult) -> None:
            unit = result.job.unit
            self.tell(EventKind.RESULT, f"{unit}: {result.result}", unit=unit, model=models[unit])

        results = systemd.wait(queued, heard) if queued else ()
        return failures + [self.failure(item.job.unit, item.result) for item in results if self._is_failure(item)]

    def check_up(self, actions: Iterable[Action]) -> None:
        """See that what was started stayed up, for a job is done as soon as the unit is.

        Raises:
            ApplyError: a unit did not, and this is not tolerant.
        """
        names = [
            item.unit for item in actions if item.verb is not Verb.STOP and self._units[item.unit].role in _LASTING
        ]
        if self.tolerant or not names:
            return
        states = self._host.systemd.states(names)
        self.fail_on([self.failure(name, "down") for name in names if not states[name].up])

    def fail_on(self, failures: Sequence[UnitFailure]) -> None:
        """Tell *failures*.

        Raises:
            ApplyError: there are any, and this is not tolerant.
        """
        for failure in failures:
            self.tell(EventKind.WARNING, str(failure), unit=failure.unit, model=failure.model)
            for line in failure.log:
                self.tell(EventKind.LOG, line, unit=failure.unit, model=failure.model)
        if failures and not self.tolerant:
            scope = "--user " if self._host.layout.scope is Scope.USER else ""
            raise ApplyError(failures, hint=f"see more with: journalctl {scope}-u {failures[0].unit}")

    def failure(self, unit: str, result: str, *, model: str = "") -> UnitFailure:
        """Return the failure of *unit* with the last lines of its journal since the jobs were queued."""
        known = self._units.get(unit)
        if result == "failed":
            # the job knows that it failed, the unit knows why
            result = self._host.systemd.result(unit) or result
        scope = ("--user",) if self._host.layout.scope is Scope.USER else ()
        # an earlier start may have failed for another reason
        log = last_lines(self._host.processes, unit, since=self._begun, count=_LOG_LINES, options=scope)
        return UnitFailure(
            unit=unit,
            model=known.model if known else model,
            result=result,
            log=log,
            image=known.image if known else "",
        )

    def tell(self, kind: EventKind, message: str, *, unit: str = "", model: str = "") -> None:
        """Tell who listens."""
        self._on_event(Event(kind=kind, message=message, unit=unit, model=model))

    def _is_failure(self, result: JobResult) -> bool:
        unit = self._units.get(result.job.unit)
        # who needs a gate waits for it, and goes on without: it fails by itself if it must
        return result.result not in _WELL and (unit is None or unit.role is not Role.GATE)
