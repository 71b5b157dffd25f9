"""Carries out a plan: links, the swap, one daemon-reload, the jobs of each wave, and the gateway's new routes.

The steps are in the order that leaves the old or the new generation whole wherever they stop. Deciding what to do, and
what to do when it fails, is the caller's.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from modelgrid.apply.events import ApplyError, Event, EventKind, OnEvent, UnitFailure
from modelgrid.apply.generations import Generations
from modelgrid.apply.links import links_of, make_links, owned_links, remove_links
from modelgrid.apply.plan import Action, Plan, Wave
from modelgrid.apply.systemd import JobResult, Verb
from modelgrid.apply.units import Role, gateway_listen, units_of
from modelgrid.emit.names import GATEWAY
from modelgrid.emit.routing import MANIFEST
from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.emit.artifact import Artifact

#: What a job may come to and still be well: an image that is there already skips its pull.
_WELL = frozenset({"done", "skipped"})

#: Lines of a failed unit's journal that are told.
_LOG_LINES = 20

#: How often, and with which pause in seconds, the gateway is asked for the manifest that it routes by.
_ASKS = 100
_PAUSE = 0.1

_PHRASES = {Verb.START: "starting", Verb.STOP: "stopping", Verb.RESTART: "restarting", Verb.RELOAD: "reloading"}


class Activation:
    """Brings one tree into effect on *host*.

    Arguments:
        tree: the artifacts of the generation that shall be current.
        number: its number; none for an empty tree, after which no generation is current.
        tolerant: report units that do not come up, and go on.

    Attributes:
        touched: units that a job was queued for.
    """

    def __init__(
        self,
        host: Host,
        on_event: OnEvent,
        *,
        tree: Sequence[Artifact],
        number: int | None,
        tolerant: bool = False,
    ) -> None:
        self._host = host
        self._on_event = on_event
        self._tree = tree
        self._number = number
        self._tolerant = tolerant
        self._units = units_of(tree)
        self._links = links_of(tree, host.layout)
        self._begun = host.now()
        self.touched: set[str] = set()

    def carry_out(self, plan: Plan, *, reload: bool = True) -> None:
        """Do everything that *plan* has. Without *reload*, systemd has read all files as they are.

        Raises:
            ApplyError: units do not come up, and this is not tolerant; later waves are not begun.
            HostError: systemd does not answer, or refuses.
            OSError: a file cannot be written.
        """
        host, generations = self._host, Generations(self._host.files, self._host.layout)
        make_links(host.files, self._links)
        if self._number is not None and generations.current() is None:
            # only now, with the first generation: whoever takes it away later does not want it back
            make_links(host.files, {host.layout.wants_link: str(host.layout.unit_target(host.layout.wants_link.name))})
        self._run(plan, Wave.BEFORE)
        if generations.current() != self._number:
            self._tell(
                EventKind.STEP, f"generation {self._number} is current" if self._number else "nothing is current"
            )
            generations.switch(self._number)
        self._remove_stale_links()
        if reload:
            host.systemd.daemon_reload()
        self._forget(plan, Wave.BEFORE)
        self._run(plan, Wave.PULL)
        self._run(plan, Wave.RUN)
        self._check_up(plan.wave(Wave.RUN))
        self._await_routes(plan)
        self._run(plan, Wave.AFTER)
        self._forget(plan, Wave.AFTER)

    def _remove_stale_links(self) -> None:
        host = self._host
        kept = set(self._links)
        if self._number is not None:
            kept.add(host.layout.wants_link)
        stale = [path for path in owned_links(host.files, host.layout) if path not in kept]
        remove_links(host.files, host.layout, stale)

    def _forget(self, plan: Plan, wave: Wave) -> None:
        """Make systemd forget the failures of units that were stopped for good, or it would list them as failed."""
        for action in plan.wave(wave):
            if action.unit not in self._units:
                self._host.systemd.reset_failed(action.unit)

    def _run(self, plan: Plan, wave: Wave) -> None:
        self._begun = self._host.now()
        failures = self._jobs(plan.wave(wave))
        for removal in plan.networks:
            if removal.wave is wave:
                self._remove_network(removal.program, removal.name)
        for failure in failures:
            self._report(failure)
        if failures and not self._tolerant:
            raise self._error(failures)

    def _jobs(self, actions: Sequence[Action]) -> list[UnitFailure]:
        """Queue the jobs of one wave together, wait for all, and return what failed."""
        systemd = self._host.systemd
        # new routes are not a job: the gateway reads the manifest by itself
        actions = [action for action in actions if action.verb is not Verb.RELOAD]
        states = systemd.states(action.unit for action in actions)
        models = {action.unit: action.model for action in actions}
        jobs = []
        failures = []
        for action in actions:
            if action.verb is not Verb.STOP and states[action.unit].active == "failed":
                # or it would be refused for having been started too often
                systemd.reset_failed(action.unit)
            self._tell(EventKind.JOB, f"{_PHRASES[action.verb]} {action.unit}", unit=action.unit, model=action.model)
            self.touched.add(action.unit)
            try:
                jobs.append(systemd.enqueue(action.verb, action.unit))
            except HostError as error:
                failures.append(self._failure(action.unit, error.message))

        def heard(result: JobResult) -> None:
            unit = result.job.unit
            self._tell(EventKind.RESULT, f"{unit}: {result.result}", unit=unit, model=models[unit])

        results = systemd.wait(jobs, heard) if jobs else ()
        return failures + [self._failure(item.job.unit, item.result) for item in results if self._is_failure(item)]

    def _is_failure(self, result: JobResult) -> bool:
        unit = self._units.get(result.job.unit)
        # who needs a gate waits for it, and goes on without: it fails by itself if it must
        return result.result not in _WELL and (unit is None or unit.role is not Role.GATE)

    def _check_up(self, actions: Iterable[Action]) -> None:
        """See that what was started stayed up, for a job is done as soon as the unit is."""
        lasting = {Role.SERVICE, Role.GATEWAY, Role.TARGET}
        names = [item.unit for item in actions if item.verb is not Verb.STOP and self._units[item.unit].role in lasting]
        states = self._host.systemd.states(names)
        failures = [self._failure(name, "down") for name in names if not states[name].up]
        if self._tolerant:
            return
        for failure in failures:
            self._report(failure)
        if failures:
            raise self._error(failures)

    def _await_routes(self, plan: Plan) -> None:
        """Wait until the gateway routes by this tree's manifest, where that or the gateway changed."""
        listen = gateway_listen(self._units)
        manifest = next((item.content for item in self._tree if item.path == MANIFEST), None)
        touched = any(action.unit == GATEWAY for action in plan.actions)
        if listen is None or manifest is None or not touched or self._tolerant:
            return
        wanted = hashlib.sha256(manifest.encode()).hexdigest()
        self._tell(EventKind.STEP, f"waiting for the gateway at {listen} to serve the new routes", unit=GATEWAY)
        for _ in range(_ASKS):
            if self._host.ask_gateway(listen) == wanted:
                return
            self._host.sleep(_PAUSE)
        failure = self._failure(GATEWAY, "manifest")
        self._report(failure)
        raise self._error([failure])

    def _remove_network(self, program: str, name: str) -> None:
        done = self._host.processes.run(program, "network", "rm", name)
        if done.returncode != 0 and "not found" not in done.stderr:
            reason = done.stderr.strip().rpartition("\n")[2]
            self._tell(EventKind.WARNING, f"{program} does not remove the network {name}: {reason}")

    def _failure(self, unit: str, result: str) -> UnitFailure:
        known = self._units.get(unit)
        if result == "failed":
            # the job knows that it failed, the unit knows why
            result = self._host.systemd.result(unit) or result
        scope = ("--user",) if self._host.layout.scope is Scope.USER else ()
        # an earlier start may have failed for another reason
        since = f"--since=@{int(self._begun.timestamp())}"
        argv = ("journalctl", *scope, "-u", unit, since, "-n", str(_LOG_LINES), "--no-pager", "-o", "cat")
        done = self._host.processes.run(*argv)
        log = tuple(done.stdout.splitlines()) if done.returncode == 0 else ()
        image = known.image if known else ""
        return UnitFailure(unit=unit, model=known.model if known else "", result=result, log=log, image=image)

    def _error(self, failures: Sequence[UnitFailure]) -> ApplyError:
        scope = "--user " if self._host.layout.scope is Scope.USER else ""
        return ApplyError(failures, hint=f"see more with: journalctl {scope}-u {failures[0].unit}")

    def _report(self, failure: UnitFailure) -> None:
        self._tell(EventKind.WARNING, str(failure), unit=failure.unit, model=failure.model)
        for line in failure.log:
            self._tell(EventKind.LOG, line, unit=failure.unit, model=failure.model)

    def _tell(self, kind: EventKind, message: str, *, unit: str = "", model: str = "") -> None:
        self._on_event(Event(kind=kind, message=message, unit=unit, model=model))
