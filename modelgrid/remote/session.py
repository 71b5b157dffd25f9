"""A login on another host: ssh as a child process, ModelGrid there at its other end."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING, Self

from modelgrid import __version__
from modelgrid.errors import HostError
from modelgrid.remote.address import NO_MODELGRID, NO_SUDO, SSH_FAILED, Address, ssh_argv
from modelgrid.remote.protocol import PROTOCOL, Ended, Greeting, Interrupt, Message, Output, Request, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

#: Lines before the greeting that a shell there may print when it starts, and how long all of that may take, in seconds.
_NOISE = 200
_GREETING_TIMEOUT = 90.0
#: Seconds that ssh has to end by itself when nothing more is wanted of it.
_END_TIMEOUT = 5.0
#: The exit code of a command that Ctrl-C ended.
INTERRUPTED = 130
#: Seconds for the last of its messages to come, once it has ended.
_WORDS_TIMEOUT = 1.0

_INSTALL = (
    "on Debian, there: apt install podman python3-venv python3-pystemd; python3 -m venv --system-site-packages "
    "/opt/modelgrid; /opt/modelgrid/bin/pip install modelgrid; ln -s /opt/modelgrid/bin/modelgrid /usr/local/bin/"
)


class Session:
    """ModelGrid on *address*, as root where *as_root*.

    One thread runs requests; :meth:`interrupt` and :meth:`kill` may come from another.

    Attributes:
        version: of the ModelGrid there, once it is open.
    """

    def __init__(self, address: Address, *, as_root: bool) -> None:
        self.address = address
        self.version = ""
        self._as_root = as_root
        self._lock = threading.Lock()
        self._interrupted = False
        self._process: subprocess.Popen[bytes] | None = None
        #: what ssh, or what it started there, said of errors: the last of it
        self._said: deque[str] = deque(maxlen=20)
        self._listener: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Log in and wait for ModelGrid there.

        Raises:
            HostError: ssh is missing or cannot log in, or there is no ModelGrid there that this one can talk with.
        """
        program = shutil.which("ssh")
        if program is None:
            raise HostError("ssh is missing, which --host needs", hint="install the OpenSSH client")
        # a group of its own: Ctrl-C is for us, who tell the host; ssh would hang up at once
        self._process = subprocess.Popen(
            ssh_argv(self.address, as_root=self._as_root, program=program),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()
        timer = threading.Timer(_GREETING_TIMEOUT, self.kill)
        timer.start()
        try:
            greeting = self._greeting()
        finally:
            timer.cancel()
        if greeting.protocol != PROTOCOL:
            raise self._mismatch(greeting.version)
        self.version = greeting.version

    def require_same_version(self) -> None:
        """Check that a tree of this ModelGrid means the same there.

        Raises:
            HostError: that is another version.
        """
        if self.version != __version__:
            raise self._mismatch(self.version)

    def run(self, request: Request, on_output: Callable[[Output], None]) -> int:
        """Run *request* there and return its exit code; *on_output* gets each line when it comes.

        After an interrupt nothing is run any more; the exit code is that of Ctrl-C.

        Raises:
            HostError: the connection was lost. What came of the request is not known.
        """
        try:
            if not self._send(request):
                return INTERRUPTED
            while True:
                match self._receive():
                    case Output() as output:
                        on_output(output)
                    case Ended(code=code):
                        return code
                    case _:
                        raise HostError("ModelGrid there answered what was not asked")
        except (OSError, EOFError, ValueError) as error:
            raise HostError(
                f"the connection was lost{self._last_words(': ')}",
                hint="a change that was under way is taken back there; see with: modelgrid status --host",
            ) from error

    def interrupt(self) -> None:
        """Ask the command under way to take back what it did, if there is one, and let no other begin."""
        with contextlib.suppress(OSError, ValueError):
            self._send(Interrupt())

    def kill(self) -> None:
        """End the connection at once. The other end notices, and takes back what is under way."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the connection."""
        process = self._process
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
            try:
                process.wait(_END_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
            self._process = None

    def _greeting(self) -> Greeting:
        for _ in range(_NOISE):
            try:
                message = self._receive()
            except ValueError:
                continue  # what a shell prints when it starts
            except (OSError, EOFError) as error:
                raise self._no_greeting() from error
            if isinstance(message, Greeting):
                return message
        raise self._no_greeting()

    def _no_greeting(self) -> HostError:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_TIMEOUT)
        code = self._process.poll()
        if code == SSH_FAILED:
            return HostError(
                f"cannot log in{self._last_words(': ')}",
                hint=f"see that this works without a password: ssh {self.address} true",
            )
        if code == NO_MODELGRID:
            return HostError("ModelGrid is not installed there", hint=_INSTALL)
        if code == NO_SUDO:
            return HostError("this user is not root there, and there is no sudo", hint="log in as root, or use --user")
        words = self._last_words()
        if "invalid choice" in words:
            return self._mismatch("an older version")
        if words.startswith("sudo:"):
            return HostError(
                f"this user may not become root there without a password ({words})",
                hint="log in as root, use --user, or let sudoers have: "
                "USER ALL=(root) NOPASSWD: /usr/local/bin/modelgrid remote",
            )
        return HostError(f"ModelGrid does not start there{self._last_words(': ')}", hint="run it there by hand to see")

    def _mismatch(self, there: str) -> HostError:
        return HostError(
            f"ModelGrid is {there} there and {__version__} here, and what one compiles the other may not know",
            hint="install the same version on both",
        )

    def _last_words(self, before: str = "") -> str:
        """Return the last line that ssh, or what it started there, said of an error; after *before*, if any."""
        if self._listener is not None:
            # a connection that ssh shares by the user's configuration may hold this end open for longer
            self._listener.join(_WORDS_TIMEOUT)
        said = next(reversed(self._said), "")
        return f"{before}{said}" if said else ""

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                if text := line.decode(errors="replace").strip():
                    self._said.append(text)

    def _send(self, message: Message) -> bool:
        """Send *message*; after an interrupt, nothing. Returns whether it was sent."""
        assert self._process is not None
        assert self._process.stdin is not None
        with self._lock:
            if self._interrupted:
                return False
            self._interrupted = isinstance(message, Interrupt)
            self._process.stdin.write(encode(message))
            self._process.stdin.flush()
            return True

    def _receive(self) -> Message:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EOFError
        return decode(line)
