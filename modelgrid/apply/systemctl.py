"""systemd by systemctl(1), for the time of a boot when there is no bus yet.

As root, or for a user's own manager, systemctl talks to systemd's own socket (systemd's src/shared/bus-util.c,
bus_connect_transport_systemd). The bus would be started for us, and wait for the boot that waits for us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.systemd import UNKNOWN, Job, JobResult, UnitState, Verb
from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from modelgrid.apply.process import Completed, Processes

_PROPERTIES = ("LoadState", "ActiveState", "SubState")

#: Seconds that systemd may take to answer: generators run inside a reload.
_ANSWER = 60.0


class Systemctl:
    """The manager of *scope*, as a :class:`modelgrid.apply.systemd.Systemd`. It queues jobs and waits for none."""

    def __init__(self, scope: Scope, processes: Processes) -> None:
        self._processes = processes
        self._scope = ("--user",) if scope is Scope.USER else ()

    def daemon_reload(self) -> None:
        """See :meth:`Systemd.daemon_reload`."""
        self._call("daemon-reload")

    def enqueue(self, verb: Verb, unit: str) -> Job:
        """See :meth:`Systemd.enqueue`."""
        self._call(verb.name.lower(), "--no-block", unit)
        return Job(unit=unit, verb=verb, path="")

    def wait(self, jobs: Sequence[Job], on_result: Callable[[JobResult], None]) -> tuple[JobResult, ...]:  # noqa: ARG002  the protocol's
        """Refuse: what the boot starts waits for us, so we would wait for ourselves.

        Raises:
            HostError: always.
        """
        raise HostError(
            "early in a boot no job is waited for", hint="run modelgrid recover again when the boot is over"
        )

    def reset_failed(self, unit: str) -> None:
        """See :meth:`Systemd.reset_failed`."""
        # one that it does not know fails, and is fine
        self._run("reset-failed", unit)

    def states(self, units: Iterable[str]) -> Mapping[str, UnitState]:
        """See :meth:`Systemd.states`."""
        names = sorted(set(units))
        if not names:
            return {}
        done = self._call("show", *(f"--property={name}" for name in _PROPERTIES), *names)
        found = [dict(line.split("=", 1) for line in block.splitlines()) for block in done.stdout.strip().split("\n\n")]
        return {
            name: UnitState(load=item["LoadState"], active=item["ActiveState"], sub=item["SubState"])
            if item.keys() >= set(_PROPERTIES)
            else UNKNOWN
            for name, item in zip(names, found, strict=True)
        }

    def since(self, unit: str) -> float | None:  # noqa: ARG002  the protocol's
        """Return none: nobody asks early in a boot."""
        return None

    def start_seconds(self, unit: str) -> float | None:  # noqa: ARG002  the protocol's
        """Return none: nobody asks early in a boot."""
        return None

    def control_group(self, unit: str) -> str:  # noqa: ARG002  the protocol's
        """Return nothing: no unit of ours runs early in a boot."""
        return ""

    def invocation(self, unit: str) -> str:  # noqa: ARG002  the protocol's
        """Return nothing: no unit of ours runs early in a boot."""
        return ""

    def needs_reload(self, unit: str) -> bool:  # noqa: ARG002  the protocol's
        """Return false: nobody asks early in a boot."""
        return False

    def result(self, unit: str) -> str:  # noqa: ARG002  the protocol's
        """Return nothing: nobody asks early in a boot."""
        return ""

    def _call(self, *arguments: str) -> Completed:
        done = self._run(*arguments)
        if done.returncode != 0:
            reason = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
            raise HostError(f"systemctl {arguments[0]}: {reason}")
        return done

    def _run(self, *arguments: str) -> Completed:
        return self._processes.run("systemctl", *self._scope, "--no-ask-password", *arguments, timeout=_ANSWER)
