"""A grid of model servers for tests behind the real gateway."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from modelgrid.ir import Deployment, Endpoint, GatewayService, Health, ModelServer, Origin, Process, Scope
from modelgrid.up import run_up
from modelgrid.up.events import Answer, Event
from tests.emit.samples import route
from tests.up.processes import MARK, free_port, listening, marked, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODEL_SERVER = Path(__file__).with_name("model_server.py")

AnyEvent = TypeVar("AnyEvent", bound=Event)


@pytest.fixture(autouse=True)
def _hears_a_hang_up() -> Iterator[None]:
    """Hear SIGHUP also where the tests are run by nohup(1): `up` leaves it ignored then, and would wait for ever."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Grid:
    """What the tests of one run share.

    *events* is everything that was reported; *on* acts on kinds of events. Where it is not about the gateway,
    something quicker stands in for it.
    """

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder = folder
        self.mark = mark
        self.gateway = Endpoint(host="127.0.0.1", port=free_port())
        self.real_gateway = False
        self.gateway_words: tuple[str, ...] = ()
        self.models: list[ModelServer] = []
        self.events: list[Event] = []
        self.on: dict[type[Event], Callable[[], object]] = {}

    def add(self, name: str, *words: str, **changes: object) -> ModelServer:
        """Add a model whose server does what the *words* say (see model_server.py)."""
        port = free_port()
        model = ModelServer(
            name=name,
            slug=name,
            engine="fake",
            models=(name,),
            launch=Process(argv=(sys.executable, "-I", "-S", str(MODEL_SERVER), str(port), *words)),
            endpoint=Endpoint(host="127.0.0.1", port=port),
            health=Health(path="/health", start_timeout=20.0),
            origin=Origin(path="$"),
        )
        self.models.append(replace(model, **changes))  # type: ignore[arg-type]  # fields of tests' choice
        return self.models[-1]

    @property
    def deployment(self) -> Deployment:
        python = sys.executable if self.real_gateway else str(self._stand_in())
        gateway = GatewayService(
            listen=self.gateway,
            python=python,
            max_body=2**20,
            hold_time=300.0,
            hold_requests=1000,
            origin=Origin(path="$.gateway"),
        )
        return Deployment(
            scope=Scope.USER, gateway=gateway, servers=tuple(self.models), routes=tuple(map(route, self.models))
        )

    def _stand_in(self) -> Path:
        """A program that takes the gateway's arguments, starts sooner, and answers itself."""
        program = self.folder / "python"
        program.write_text(
            f'#!/bin/sh\nexec {sys.executable} -I -S {MODEL_SERVER} "$@" {" ".join(self.gateway_words)}\n'
        )
        program.chmod(0o755)
        return program

    def run(self, *, ask: str | None = None, once: bool = False, deployment: Deployment | None = None) -> int:
        return run_up(
            deployment or self.deployment,
            weights=(),
            cache=self.folder / "cache",
            state=self.folder / "state",
            ask=ask,
            once=once,
            report=self._report,
        )

    def _report(self, event: Event) -> None:
        self.events.append(event)
        if action := self.on.get(type(event)):
            action()

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send this process a signal, as Ctrl-C does."""
        os.kill(os.getpid(), number)

    def the(self, kind: type[AnyEvent]) -> AnyEvent:
        """Return the one event of this kind."""
        (event,) = (event for event in self.events if isinstance(event, kind))
        return event

    @property
    def answer(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Answer))

    @property
    def temporary(self) -> list[Path]:
        """What is in the folder for temporary files."""
        return list((self.folder / "tmp").iterdir())

    def assert_nothing_is_left(self) -> None:
        """No process, and no port that is listened at."""
        # what was killed is gone when the kernel has reaped it
        until(lambda: not marked(self.mark), seconds=2.0)
        assert not [port for port in (self.gateway.port, *(m.endpoint.port for m in self.models)) if listening(port)]


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grid]:
    """A grid without models. All that it starts is marked, and must be gone when the test ends."""
    (tmp_path / "tmp").mkdir()
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    made = Grid(tmp_path, mark)
    try:
        yield made
        made.assert_nothing_is_left()
    finally:
        for process_id in marked(mark):
            os.kill(process_id, signal.SIGKILL)
