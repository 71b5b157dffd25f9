"""The adapter to pystemd, on a pystemd that is a script: no bus, no systemd."""

from __future__ import annotations

import sys
from collections import deque
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.apply import systemd
from modelgrid.apply.systemd import UNKNOWN, Job, JobResult, PystemdManager, UnitState, Verb
from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Callable


class BaseError(Exception):
    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.errno = code
        self.err_message = message.encode()


class NoSuchUnitError(BaseError): ...


class FileNotFoundBusError(BaseError): ...


class AccessDeniedError(BaseError): ...


class Answer:
    def __init__(self, body: Any) -> None:
        self.body = body

    def process_reply(self, _headers: object) -> None: ...


class Bus:
    """Answers calls from a table and delivers signals one at a time, as sd-bus does."""

    opened: list[Bus]
    refuse: BaseError | None = None

    def __init__(self, *, user_mode: bool = False) -> None:
        self.user_mode = user_mode
        self.calls: list[tuple[str, list[Any]]] = []
        self.answers: dict[str, Callable[[list[Any]], Any]] = {
            "Subscribe": lambda args: None,
            "Reload": lambda args: None,
        }
        self.signals: deque[Answer] = deque()
        self.waits: deque[BaseError | None] = deque()
        self.heard: Callable[..., None] | None = None
        Bus.opened.append(self)

    def open(self) -> None:
        if Bus.refuse is not None:
            raise Bus.refuse

    def match_signal(self, sender: bytes, path: bytes, interface: bytes, member: bytes, callback: Any) -> None:
        assert member == b"JobRemoved"
        self.heard = callback

    def call_method(self, service: bytes, path: bytes, interface: bytes, method: bytes, args: list[Any]) -> Answer:
        self.calls.append((method.decode(), args))
        return Answer(self.answers[method.decode()](args))

    def process(self) -> None:
        if self.signals:
            assert self.heard is not None
            self.heard(self.signals.popleft(), error=None, userdata=None)

    def wait(self, timeout: int) -> None:
        if self.waits and (error := self.waits.popleft()) is not None:
            raise error

    def job_ends(self, number: int, unit: str, result: str) -> None:
        self.signals.append(Answer([number, f"/job/{number}".encode(), unit.encode(), result.encode()]))


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> PystemdManager:
    package, exceptions, library = ModuleType("pystemd"), ModuleType("pystemd.dbusexc"), ModuleType("pystemd.dbuslib")
    exceptions.DBusBaseError = BaseError  # type: ignore[attr-defined]  # a module made for this test
    exceptions.DBusNoSuchUnitError = NoSuchUnitError  # type: ignore[attr-defined]  # the same
    exceptions.DBusFileNotFoundError = FileNotFoundBusError  # type: ignore[attr-defined]  # the same
    exceptions.DBusAccessDeniedError = AccessDeniedError  # type: ignore[attr-defined]  # the same
    library.DBus = Bus  # type: ignore[attr-defined]  # the same
    library.apply_signature = lambda signature, values: values  # type: ignore[attr-defined]  # the same
    package.dbusexc = exceptions  # type: ignore[attr-defined]  # the same
    for module in (package, exceptions, library):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("SYSTEMD_BUS_TIMEOUT", "90s")
    monkeypatch.setattr(Bus, "opened", [], raising=False)
    monkeypatch.setattr(Bus, "refuse", None)
    return PystemdManager(Scope.SYSTEM)


def connect(manager: PystemdManager) -> Bus:
    manager.daemon_reload()
    (bus,) = Bus.opened
    return bus


def jobs_of(*units: str) -> list[Job]:
    return [Job(unit=unit, verb=Verb.START, path=f"/job/{number}") for number, unit in enumerate(units)]


def test_without_pystemd_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pystemd", None)
    with pytest.raises(HostError, match="pystemd is missing") as caught:
        PystemdManager(Scope.SYSTEM).daemon_reload()
    assert "python3-pystemd" in str(caught.value.hint)
    assert "modelgrid[apply]" in str(caught.value.hint)


@pytest.mark.parametrize(("scope", "hint"), [(Scope.SYSTEM, "install dbus"), (Scope.USER, "loginctl enable-linger")])
def test_a_bus_that_is_not_there_is_told(manager: PystemdManager, scope: Scope, hint: str) -> None:
    Bus.refuse = FileNotFoundBusError(-2, "No such file or directory")
    with pytest.raises(HostError, match=f"cannot reach the {scope.value}'s systemd over D-Bus: No such file") as caught:
        PystemdManager(scope).daemon_reload()
    assert hint in str(caught.value.hint)


def test_the_user_has_a_bus_of_their_own(manager: PystemdManager) -> None:
    PystemdManager(Scope.USER).daemon_reload()
    assert Bus.opened[0].user_mode


def test_results_come_by_signal_in_the_order_of_the_jobs(manager: PystemdManager) -> None:
    bus = connect(manager)
    bus.job_ends(1, "b.service", "failed")
    bus.job_ends(7, "other.service", "done")
    bus.job_ends(0, "a.service", "done")
    heard: list[JobResult] = []
    results = manager.wait(jobs_of("a.service", "b.service"), heard.append)
    assert [(item.job.unit, item.result) for item in results] == [("a.service", "done"), ("b.service", "failed")]
    assert [item.job.unit for item in heard] == ["b.service", "a.service"]


def test_a_job_that_ended_before_it_is_waited_for_is_known(manager: PystemdManager) -> None:
    bus = connect(manager)
    bus.answers["StartUnit"] = lambda args: b"/job/0"
    job = manager.enqueue(Verb.START, "a.service")
    assert bus.calls[-1] == ("StartUnit", ["a.service", "replace"])
    bus.job_ends(0, "a.service", "done")
    assert [item.result for item in manager.wait([job], lambda result: None)] == ["done"]


@pytest.mark.parametrize(
    ("verb", "active", "result"),
    [
        (Verb.START, "active", "done"),
        (Verb.START, "failed", "failed"),
        (Verb.STOP, "inactive", "done"),
        (Verb.STOP, "active", "failed"),
    ],
)
def test_a_job_whose_signal_was_lost_is_judged_by_its_unit(
    manager: PystemdManager, monkeypatch: pytest.MonkeyPatch, verb: Verb, active: str, result: str
) -> None:
    monkeypatch.setattr(systemd, "_LOOK", 0.0)
    bus = connect(manager)

    def gone(args: list[Any]) -> None:
        raise FileNotFoundBusError(-2, "Job 0 does not exist.")

    bus.answers["GetJob"] = gone
    bus.answers["ListUnitsByNames"] = lambda args: [(b"a.service", b"", b"loaded", active.encode(), b"dead")]
    job = Job(unit="a.service", verb=verb, path="/job/0")
    assert [item.result for item in manager.wait([job], lambda found: None)] == [result]


def test_a_signal_to_this_process_does_not_end_the_wait(manager: PystemdManager) -> None:
    bus = connect(manager)
    bus.waits.append(BaseError(-4, "Interrupted system call"))
    bus.waits.append(None)
    waited = bus.wait

    def wait_then_end(timeout: int) -> None:
        if not bus.signals:
            bus.job_ends(0, "a.service", "done")
        waited(timeout)

    bus.wait = wait_then_end  # type: ignore[method-assign]  # the script of this test
    assert [item.result for item in manager.wait(jobs_of("a.service"), lambda found: None)] == ["done"]


def test_states_name_every_unit_that_was_asked_for(manager: PystemdManager) -> None:
    bus = connect(manager)
    bus.answers["ListUnitsByNames"] = lambda args: [(b"a.service", b"", b"loaded", b"activating", b"auto-restart")]
    found = manager.states(["b.service", "a.service"])
    assert found == {
        "a.service": UnitState(load="loaded", active="activating", sub="auto-restart"),
        "b.service": UNKNOWN,
    }
    assert found["a.service"].down
    assert manager.states([]) == {}


def test_forgetting_a_unit_that_systemd_does_not_know_is_fine(manager: PystemdManager) -> None:
    bus = connect(manager)

    def unknown(args: list[Any]) -> None:
        raise NoSuchUnitError(-2, "Unit a.service not loaded.")

    bus.answers["ResetFailedUnit"] = unknown
    manager.reset_failed("a.service")


def test_what_systemd_refuses_is_quoted(manager: PystemdManager) -> None:
    bus = connect(manager)

    def unknown(args: list[Any]) -> None:
        raise NoSuchUnitError(-2, "Unit a.service not found.")

    def denied(args: list[Any]) -> None:
        raise AccessDeniedError(-13, "Access denied")

    bus.answers["StartUnit"] = unknown
    with pytest.raises(HostError, match=r"systemd: Unit a\.service not found\."):
        manager.enqueue(Verb.START, "a.service")
    bus.answers["StartUnit"] = denied
    with pytest.raises(HostError, match="Access denied") as caught:
        manager.enqueue(Verb.START, "a.service")
    assert "root" in str(caught.value.hint)
