"""systemd as apply sees it: a small protocol, and its adapter over D-Bus. The only import of pystemd.

Jobs are queued first and waited for together. What a job came to is known from the manager's ``JobRemoved`` signal
(org.freedesktop.systemd1(5)): a unit with ``Restart=`` is on its way up again a moment after its first start failed,
so its state alone would not say that it did.
"""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class Verb(Enum):
    """What a job does to a unit, and the D-Bus method that queues it."""

    START = "StartUnit"
    STOP = "StopUnit"
    RESTART = "RestartUnit"
    RELOAD = "ReloadUnit"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """A unit as systemd has it now. The words are systemd's own.

    Attributes:
        load: ``loaded``, ``not-found``, ``masked``, ``error``, ``bad-setting``.
        active: ``active``, ``inactive``, ``failed``, ``activating``, ``deactivating``, ``reloading``.
        sub: the finer state of the unit's kind: ``running``, ``exited``, ``auto-restart``, ``dead``.
    """

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"

    @property
    def up(self) -> bool:
        """Whether the unit runs, or did its work and counts as running."""
        return self.active in {"active", "reloading", "refreshing"}

    @property
    def down(self) -> bool:
        """Whether nothing runs and nothing is on its way to, but for systemd's next try after a failure."""
        return self.active in {"inactive", "failed", "deactivating"} or self.sub.startswith("auto-restart")

    @property
    def failing(self) -> bool:
        """Whether it failed, or waits for its next try after it did."""
        return self.active == "failed" or self.sub.startswith("auto-restart")

    @property
    def masked(self) -> bool:
        """Whether the administrator forbade every start (``systemctl mask``)."""
        return self.load == "masked"


#: What is said of a unit that systemd knows nothing of.
UNKNOWN = UnitState()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A queued job: *path* is its D-Bus object, empty where systemd had nothing to do."""

    unit: str
    verb: Verb
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What a job came to: ``done``, or why not: ``failed``, ``timeout``, ``dependency``, ``canceled``, ``skipped``."""

    job: Job
    result: str

    @property
    def done(self) -> bool:
        """Whether the unit is where the job should bring it."""
        return self.result == "done"


class Systemd(Protocol):
    """One systemd manager: the system's or a user's.

    Every method raises HostError where systemd cannot be reached or does not answer.
    """

    def daemon_reload(self) -> None:
        """Make systemd read its unit files again, and run its generators."""

    def enqueue(self, verb: Verb, unit: str) -> Job:
        """Queue a job, replacing one that is in its way. Never waits for it.

        Raises:
            HostError: systemd refuses: the unit is unknown, masked or malformed.
        """

    def wait(self, jobs: Sequence[Job], on_result: Callable[[JobResult], None]) -> tuple[JobResult, ...]:
        """Wait until every one of *jobs* has ended, as long as the units' own timeouts let them.

        *on_result* hears of each as it ends. The results come in the order of *jobs*.
        """

    def reset_failed(self, unit: str) -> None:
        """Forget that *unit* failed, and how often it was started. A unit that systemd does not know is fine."""

    def states(self, units: Iterable[str]) -> Mapping[str, UnitState]:
        """Return the state of each of *units*, :data:`UNKNOWN` included."""

    def since(self, unit: str) -> float | None:
        """Return when *unit* last changed its state, in seconds of the epoch; none where it never did."""

    def start_seconds(self, unit: str) -> float | None:
        """Return how long the last start of *unit* took that brought it up; none where it never came up."""

    def result(self, unit: str) -> str:
        """Return why service *unit* last went down (systemd.exec(5), $SERVICE_RESULT): ``timeout``, ``exit-code``."""

    def control_group(self, unit: str) -> str:
        """Return the control group of *unit*, a path below /sys/fs/cgroup; empty where it has none."""

    def invocation(self, unit: str) -> str:
        """Return what identifies the present run of *unit*, 32 hex digits; empty where it never ran."""

    def needs_reload(self, unit: str) -> bool:
        """Say whether a file of *unit* changed since it was read (org.freedesktop.systemd1(5), NeedDaemonReload)."""


#: Seconds between looks at jobs whose signal may have been lost.
_LOOK = 5.0
#: Seconds that systemd may take to answer one call. Generators run inside ``Reload``, and sd-bus gives up after 25 s.
_ANSWER = "90s"

#: What sd-bus says where nobody answers: to a call, or already to its greeting (sd_bus_call(3)).
_SILENCE = frozenset({errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNRESET})

_SERVICE = b"org.freedesktop.systemd1"
_MANAGER_PATH = b"/org/freedesktop/systemd1"
_MANAGER = b"org.freedesktop.systemd1.Manager"
_UNIT = b"org.freedesktop.systemd1.Unit"
_SERVICE_UNIT = b"org.freedesktop.systemd1.Service"


class PystemdManager:
    """The manager of *scope* on this host, over its bus. Connects at the first call."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._connection: Any = None
        self._results: dict[str, str] = {}

    def daemon_reload(self) -> None:
        """See :meth:`Systemd.daemon_reload`."""
        self._call("Reload")

    def enqueue(self, verb: Verb, unit: str) -> Job:
        """See :meth:`Systemd.enqueue`."""
        return Job(unit=unit, verb=verb, path=self._call(verb.value, "ss", unit, "replace").decode())

    def wait(self, jobs: Sequence[Job], on_result: Callable[[JobResult], None]) -> tuple[JobResult, ...]:
        """See :meth:`Systemd.wait`."""
        bus = self._bus()
        open_jobs = {job.path: job for job in jobs}
        results: dict[str, JobResult] = {}
        look = time.monotonic() + _LOOK
        while True:
            for path in open_jobs.keys() & self._results.keys():
                results[path] = JobResult(job=open_jobs.pop(path), result=self._results.pop(path))
                on_result(results[path])
            if not open_jobs:
                return tuple(results[job.path] for job in jobs)
            if time.monotonic() >= look:
                self._look_at(open_jobs.values())
                look = time.monotonic() + _LOOK
            self._guard(bus.process)
            if not open_jobs.keys() & self._results.keys():
                self._guard(bus.wait, int(_LOOK * 1_000_000))

    def reset_failed(self, unit: str) -> None:
        """See :meth:`Systemd.reset_failed`."""
        self._call("ResetFailedUnit", "s", unit, absent=True)

    def states(self, units: Iterable[str]) -> Mapping[str, UnitState]:
        """See :meth:`Systemd.states`."""
        names = sorted(set(units))
        if not names:
            return {}
        rows = self._call("ListUnitsByNames", "as", [name.encode() for name in names])
        found = {
            row[0].decode(): UnitState(load=row[2].decode(), active=row[3].decode(), sub=row[4].decode())
            for row in rows
        }
        return {name: found.get(name, UNKNOWN) for name in names}

    def since(self, unit: str) -> float | None:
        """See :meth:`Systemd.since`."""
        stamp = self._property(unit, _UNIT, b"StateChangeTimestamp", b"t")
        return stamp / 1_000_000 if stamp else None

    def start_seconds(self, unit: str) -> float | None:
        """See :meth:`Systemd.start_seconds`."""
        # monotonic: the clock may have been set in between (org.freedesktop.systemd1(5))
        begun = self._property(unit, _UNIT, b"InactiveExitTimestampMonotonic", b"t")
        up = self._property(unit, _UNIT, b"ActiveEnterTimestampMonotonic", b"t")
        return (up - begun) / 1_000_000 if begun and up and up >= begun else None

    def result(self, unit: str) -> str:
        """See :meth:`Systemd.result`."""
        if not unit.endswith(".service"):
            return ""
        found: bytes | None = self._property(unit, _SERVICE_UNIT, b"Result", b"s")
        return found.decode() if found else ""

    def control_group(self, unit: str) -> str:
        """See :meth:`Systemd.control_group`."""
        if not unit.endswith(".service"):
            return ""
        found: bytes | None = self._property(unit, _SERVICE_UNIT, b"ControlGroup", b"s")
        return found.decode() if found else ""

    def invocation(self, unit: str) -> str:
        """See :meth:`Systemd.invocation`."""
        found = self._property(unit, _UNIT, b"InvocationID", b"ay")
        return bytes(found).hex() if found else ""

    def needs_reload(self, unit: str) -> bool:
        """See :meth:`Systemd.needs_reload`."""
        return bool(self._property(unit, _UNIT, b"NeedDaemonReload", b"b"))

    def _look_at(self, jobs: Iterable[Job]) -> None:
        """Find the jobs that are gone though no signal said so, and judge them by their unit's state."""
        gone = [job for job in jobs if self._call("GetJob", "u", int(job.path.rpartition("/")[2]), absent=True) is None]
        states = self.states(job.unit for job in gone)
        for job in gone:
            wanted = states[job.unit].down if job.verb is Verb.STOP else states[job.unit].up
            self._results.setdefault(job.path, "done" if wanted else "failed")

    def _property(self, unit: str, interface: bytes, name: bytes, kind: bytes) -> Any:
        path = self._call("LoadUnit", "s", unit)
        return self._guard(self._bus().get_property, _SERVICE, path, interface, name, kind)

    def _call(self, method: str, signature: str = "", *arguments: Any, absent: bool = False) -> Any:
        """Call *method* of the manager. With *absent*, what it does not know is answered by none."""
        bus = self._bus()
        from pystemd.dbuslib import apply_signature  # noqa: PLC0415  only this module, and only where it is there

        message = apply_signature(signature.encode(), list(arguments)) if signature else []
        answer = self._guard(
            bus.call_method, _SERVICE, _MANAGER_PATH, _MANAGER, method.encode(), message, absent=absent
        )
        return None if answer is None else answer.body

    def _guard(self, call: Callable[..., Any], *arguments: Any, absent: bool = False) -> Any:
        from pystemd import dbusexc  # noqa: PLC0415  only this module, and late

        try:
            return call(*arguments)
        except dbusexc.DBusBaseError as error:
            if error.errno == -errno.EINTR:
                # a signal came while we waited; Python's handler has the word on the next line
                return None
            unknown = (dbusexc.DBusNoSuchUnitError, dbusexc.DBusFileNotFoundError)
            if absent and isinstance(error, unknown):
                return None
            if -error.errno in _SILENCE:
                raise HostError(
                    f"systemd does not answer over D-Bus: {_reason(error)}", hint="see why with: systemctl status dbus"
                ) from error
            raise HostError(f"systemd: {_reason(error)}", hint=_hint(error, dbusexc)) from error

    def _bus(self) -> Any:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Any:
        try:
            from pystemd import dbusexc  # noqa: PLC0415  only this module, and late
            from pystemd.dbuslib import DBus  # noqa: PLC0415  the same
        except ImportError as error:
            raise HostError(
                f"the Python package pystemd is missing, which talks to systemd ({error})",
                hint="install Debian's python3-pystemd, or pip install 'modelgrid[apply]' with "
                "libsystemd-dev, pkg-config and gcc on the host",
            ) from error
        # sd_bus_get_method_call_timeout(3): the only way to that timeout from here
        os.environ.setdefault("SYSTEMD_BUS_TIMEOUT", _ANSWER)
        bus = DBus(user_mode=self._scope is Scope.USER)
        try:
            bus.open()
        except dbusexc.DBusBaseError as error:
            raise HostError(
                f"cannot reach the {self._scope.value}'s systemd over D-Bus: {_reason(error)}",
                hint="install dbus and start it"
                if self._scope is Scope.SYSTEM
                else "log in on the host itself or by ssh, install dbus-user-session, and run: loginctl enable-linger",
            ) from error
        self._connection = bus

        def removed(message: Any, error: Any = None, userdata: Any = None) -> None:  # noqa: ARG001  pystemd's protocol
            message.process_reply(False)  # noqa: FBT003  pystemd's own signature
            _, path, _, result = message.body
            self._results[path.decode()] = result.decode()

        # kept on the instance: sd-bus holds a bare pointer to it
        self._removed = removed
        self._guard(bus.match_signal, _SERVICE, _MANAGER_PATH, _MANAGER, b"JobRemoved", removed)
        self._call("Subscribe")
        return bus


def _reason(error: Any) -> str:
    message = error.err_message
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return text or os.strerror(abs(error.errno))


def _hint(error: Any, dbusexc: Any) -> str | None:
    # the second is not in every pystemd that distributions have
    refused = (dbusexc.DBusAccessDeniedError, getattr(dbusexc, "DBusInteractiveAuthorizationRequiredError", ()))
    if isinstance(error, refused):
        return "run it as root, or with --user for your own units"
    return None
