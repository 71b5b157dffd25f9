"""Carries out a plan: links, the swap, one daemon-reload, the jobs of each wave, and the gateway's new routes.

The steps are in the order that leaves the old or the new generation whole wherever they stop. Deciding what to do, and
what to do when it fails, is the caller's.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from modelgrid.apply.events import EventKind, OnEvent
from modelgrid.apply.handover.rollout import Rollout
from modelgrid.apply.jobs import Jobs
from modelgrid.apply.planning.plan import Plan, Wave
from modelgrid.apply.planning.units import gateway_listen, units_of
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.links import links_of, make_links, remove_links, stale_links
from modelgrid.emit.names import GATEWAY
from modelgrid.emit.routing import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.apply.host import Host
    from modelgrid.emit.artifact import Artifact

#: How often, and with which pause in seconds, the gateway is asked for the manifest that it routes by.
_ASKS = 100
_PAUSE = 0.1


class Activation:
    """Brings one tree into effect on *host*.

    Arguments:
        tree: the artifacts of the generation that shall be current.
        number: its number; none for an empty tree, after which no generation is current.
        tolerant: report units that do not come up, and go on.
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
        self._tree = tree
        self._number = number
        self._units = units_of(tree)
        self._links = links_of(tree, host.layout)
        self._jobs = Jobs(host, on_event, self._units, tolerant=tolerant)

    @property
    def touched(self) -> set[str]:
        """Units that a job was queued for."""
        return self._jobs.touched

    def carry_out(self, plan: Plan, *, reload: bool = True) -> None:
        """Do everything that *plan* has. Without *reload*, systemd has read all files as they are.

        Raises:
            ApplyError: units do not come up, and this is not tolerant; later waves are not begun.
            HostError: systemd does not answer, or refuses.
            OSError: a file cannot be written.
        """
        host, generations = self._host, Generations(self._host.files, self._host.layout)
        make_links(host.files, host.layout, self._links)
        if self._number is not None and generations.current() is None:
            # only now, with the first generation: whoever takes it away later does not want it back
            boot = {host.layout.wants_link: str(host.layout.unit_target(host.layout.wants_link.name))}
            make_links(host.files, host.layout, boot)
        current = generations.current()
        before = generations.read(current) if current is not None else ()
        rollout = Rollout(host, self._jobs, plan, before=before, after=self._tree)
        rollout.begin()
        self._wave(plan, Wave.BEFORE)
        if current != self._number:
            said = f"generation {self._number} is current" if self._number else "nothing is current"
            self._jobs.tell(EventKind.STEP, said)
            generations.switch(self._number)
        stuck = self._remove_stale_links()
        if reload:
            host.systemd.daemon_reload()
        self._forget(plan, Wave.BEFORE)
        self._wave(plan, Wave.PULL)
        rollout.hand_over()
        for batch in rollout.batches():
            actions = rollout.leave(batch)
            self._jobs.fail_on(self._jobs.run(actions))
            self._jobs.check_up(actions)
            rollout.come_back(actions)
        rollout.end()
        self._await_routes(plan)
        self._wave(plan, Wave.AFTER)
        self._forget(plan, Wave.AFTER)
        if stuck is not None:
            raise stuck

    def _remove_stale_links(self) -> OSError | None:
        """Remove links of names that are gone. Where this is tolerant and cannot, return why.

        They lead nowhere, and what was stopped is to run again though the disk takes nothing more.
        """
        host = self._host
        stale = stale_links(host.files, host.layout, self._links, applied=self._number is not None)
        try:
            remove_links(host.files, host.layout, stale)
        except OSError as error:
            if not self._jobs.tolerant:
                raise
            return error
        return None

    def _forget(self, plan: Plan, wave: Wave) -> None:
        """Make systemd forget the failures of units that were stopped for good, or it would list them as failed."""
        for action in plan.wave(wave):
            if action.unit not in self._units:
                self._host.systemd.reset_failed(action.unit)

    def _wave(self, plan: Plan, wave: Wave) -> None:
        failures = self._jobs.run(plan.wave(wave))
        for removal in plan.networks:
            if removal.wave is wave:
                self._remove_network(removal.program, removal.name)
        self._jobs.fail_on(failures)

    def _await_routes(self, plan: Plan) -> None:
        """Wait until the gateway routes by this tree's manifest, where that or the gateway changed."""
        listen = gateway_listen(self._units)
        manifest = next((item.content for item in self._tree if item.path == MANIFEST), None)
        touched = any(action.unit == GATEWAY for action in plan.actions)
        if listen is None or manifest is None or not touched or self._jobs.tolerant:
            return
        wanted = hashlib.sha256(manifest.encode()).hexdigest()
        said = f"waiting for the gateway at {listen} to serve the new routes"
        self._jobs.tell(EventKind.STEP, said, unit=GATEWAY)
        for _ in range(_ASKS):
            if self._host.ask_gateway(listen) == wanted:
                return
            self._host.sleep(_PAUSE)
        self._jobs.fail_on([self._jobs.failure(GATEWAY, "manifest")])

    def _remove_network(self, program: str, name: str) -> None:
        done = self._host.processes.run(program, "network", "rm", name)
        if done.returncode != 0 and "not found" not in done.stderr:
            reason = done.stderr.strip().rpartition("\n")[2]
            self._jobs.tell(EventKind.WARNING, f"{program} does not remove the network {name}: {reason}")
