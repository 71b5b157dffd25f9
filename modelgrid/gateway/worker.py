"""The gateway's worker process: what Granian starts, once per worker, with its settings as its only argument."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelgrid.gateway.app import create_app
from modelgrid.gateway.holding import Holding
from modelgrid.gateway.linelog import LineLog
from modelgrid.gateway.listening import TELLS_LISTENERS, choose, own_listener
from modelgrid.gateway.notify import notify
from modelgrid.gateway.proxy import BODY_PATIENCE
from modelgrid.gateway.reload import INTERVAL, State
from modelgrid.gateway.status import StatusFile, runtime_folder
from modelgrid.gateway.upstream import Timeouts, UpstreamClient
from modelgrid.live import WorkerStatus
from modelgrid.ports import reachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from modelgrid.gateway.asgi import ASGIApp, Receive, Scope, Send
    from modelgrid.gateway.keys import Keyring
    from modelgrid.gateway.routing import RoutingTable

_POLL = 0.01
#: Seconds that Granian may take to listen, and then to wait for a signal.
_PATIENCE = 10.0
_SETTLE = 0.25
_POSIX = os.name == "posix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a worker must know. Plain values: they are pickled where workers are spawned, not forked.

    Attributes:
        manifest: path of the manifest.
        keys: path of the keys; None where no key is asked for.
        host: IP address that is listened on.
        port: TCP port.
        exposed: whether *host* is reached from beyond this machine.
        live: the folder in which changes of the host are told (:mod:`modelgrid.live`); None where there are none.
        unit: the name by which that folder speaks of this gateway; empty where it does not.
        alone: whether there is no second worker, and so one socket for each gateway that shares the port.
        timeouts: for the models' servers.
        body_patience: seconds without a byte of a request's body.
        watch_interval: seconds between two looks at the files.
    """

    manifest: Path
    keys: Path | None
    host: str
    port: int
    exposed: bool
    live: Path | None = None
    unit: str = ""
    alone: bool = True
    timeouts: Timeouts = field(default_factory=Timeouts)
    body_patience: float = BODY_PATIENCE
    watch_interval: float = INTERVAL


def load(settings: Settings) -> ASGIApp:
    """Make the worker's application. Granian calls it in the worker, before the event loop runs."""
    worker: _Worker | None = None
    if _POSIX:
        # between the start-up and serving the loop stands still, and uvloop loses a signal that comes then: it waits
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal worker
        if scope["type"] != "lifespan":
            assert worker is not None, "the lifespan comes first"
            await worker.app(scope, receive, send)
            return
        await receive()  # lifespan.startup
        async with _run(settings) as worker:
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})

    return app


class _Worker:
    """What one worker process is made of, and what it does when its files change."""

    def __init__(self, settings: Settings) -> None:
        self._alone = settings.alone
        self._listener: int | None = None
        self._heard = ""
        self.log = LineLog()
        self.status = StatusFile(
            runtime_folder(), self._describe, failed=lambda reason: self.log.event("no_status", reason=reason)
        )
        self.client = UpstreamClient(settings.timeouts, changed=self.status.touch)
        self.holding = Holding(self.status.touch)
        self._table: RoutingTable | None = None
        self._keyring: Keyring | None = None
        self.state = State(
            manifest=settings.manifest,
            keys=settings.keys,
            exposed=settings.exposed,
            folder=settings.live,
            unit=settings.unit,
            changed=self._changed,
            refused=lambda path, reason: self.log.event("refused", file=str(path), reason=reason),
        )
        self._changed()
        self.app = create_app(
            state=self.state,
            client=self.client,
            holding=self.holding,
            log=self.log,
            body_patience=settings.body_patience,
        )

    def _changed(self) -> None:
        """Work by what the files say now. Between this and the change nothing else runs."""
        table, keyring = self.state.table, self.state.keyring
        if keyring is not self._keyring and keyring is not None and keyring.sha256:
            self.log.event("loaded", keys=len(keyring))
        if table is not self._table and table is not None:
            routes = table.manifest.routes
            self.client.retain(upstream for route in routes for upstream in route.upstreams)
            self.log.event("loaded", manifest=table.sha256, models=len(routes))
        self._table, self._keyring = table, keyring
        self._take_connections()
        self.holding.wake()
        self.status.write()

    def listens(self, descriptor: int | None) -> None:
        """Begin to serve, with the listening socket of *descriptor*; none where this system does not tell."""
        self._listener = descriptor
        self._take_connections(first=True)
        self.status.begin()

    def _take_connections(self, *, first: bool = False) -> None:
        """Have new connections come here if this is the gateway that serves; at *first* to whoever was before."""
        serving = self.state.serving
        named = serving is not None and serving.unit == self.state.unit
        self._heard = serving.unit if serving is not None else ""
        if self._listener is None or not self._alone or not (named or first):
            return
        try:
            choose(self._listener, serving.index if named and serving is not None else 0)
        except OSError as error:
            self._heard = ""  # whoever waits for it must not go on
            self.log.event("no_choice", reason=error.strerror or str(error))

    def _describe(self) -> WorkerStatus:
        table, keyring = self.state.table, self.state.keyring
        return WorkerStatus(
            manifest=table.sha256 if table else "",
            keys=keyring.sha256 if keyring is not None else "",
            serving=self._heard,
            in_flight={str(upstream): count for upstream, count in self.client.in_flight().items()},
            held=self.holding.count,
        )


@contextlib.asynccontextmanager
async def _run(settings: Settings) -> AsyncIterator[_Worker]:
    worker = _Worker(settings)
    loop = asyncio.get_running_loop()
    if _POSIX:
        # Ctrl-C reaches every process of the terminal; the parent answers it with one SIGTERM for each worker,
        # and a worker that was told to end three times would block
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    listening = loop.create_task(_until_listening(settings))
    tasks = [
        listening,
        loop.create_task(_take_signals(listening)),
        loop.create_task(worker.state.watch(settings.watch_interval)),
        loop.create_task(_announce(listening, worker)),
    ]
    gc.collect()
    gc.freeze()  # what is there now stays: the collector need not look at it again
    try:
        yield worker
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        worker.status.end()
        worker.client.close()
        worker.log.flush()


async def _take_signals(listening: asyncio.Task[int | None]) -> None:
    """Take SIGTERM once Granian serves: what it gets before it waits for the end of serving, it forgets."""
    await asyncio.wait({listening}, timeout=_PATIENCE)
    await asyncio.sleep(_SETTLE)
    if _POSIX:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


async def _until_listening(settings: Settings) -> int | None:
    """Wait until this process listens, which Granian has it do after the start-up; return by which descriptor."""
    while True:
        await asyncio.sleep(_POLL)
        listener = own_listener(settings.port)
        # where there may be another gateway on the port, its answer says nothing of this one
        if listener is not None or (not TELLS_LISTENERS and await _answers(settings)):
            return listener


async def _announce(listening: asyncio.Task[int | None], worker: _Worker) -> None:
    """Say that the gateway serves once it listens and there is a manifest."""
    listener = await listening
    while worker.state.table is None:
        await asyncio.sleep(_POLL)
    worker.listens(listener)
    notify("READY=1")


async def _answers(settings: Settings) -> bool:
    try:
        _, writer = await asyncio.open_connection(reachable(settings.host), settings.port)
    except OSError:
        return False
    writer.close()
    return True
