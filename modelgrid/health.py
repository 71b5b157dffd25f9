"""Waits until a server is ready: ``python -m modelgrid.health URL --timeout SECONDS``.

The probe of units whose server does not tell systemd itself that it is ready (``ExecStartPost=``), so it starts fast:
it needs the standard library's sockets and no other module of ModelGrid. Signals keep what they do by default.

Exit codes: 0 ready, 1 not ready in time, 2 called wrongly.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import socket
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Seconds that one connection, and one answer, may take.
_PATIENCE = 2.0
_STATUS_LINE = 4096
_ENDED = "is not ready, and its process has ended"


# no dataclass: importing those takes as long as all the rest
class Target(NamedTuple):
    """What is asked: *path* of the HTTP server at *host* (an IP address, or a name) and *port*."""

    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Target:
        """Read ``http://127.0.0.1:8080/health`` or ``http://[::1]:8080/health``.

        Raises:
            ValueError: *url* has another form; there is no TLS, and the port must be given.
        """
        # urllib.parse would do, and costs more than all of this module
        authority, slash, path = url.removeprefix("http://").partition("/")
        host, _, port = authority.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        valid = url.startswith("http://") and host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16
        if not valid or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError(f"{url!r} is not of the form http://HOST:PORT/PATH")
        return cls(host=host, port=int(port), path=slash + path or "/")


def probe(target: Target, *, patience: float = _PATIENCE) -> str:
    """Ask once. Return "" when the answer is 200, else why it was not, in a few words.

    Connecting takes *patience* seconds at most, and the answer as much again.
    """
    try:
        with socket.create_connection((target.host, target.port), timeout=patience) as connection:
            host = f"[{target.host}]" if ":" in target.host else target.host
            request = f"GET {target.path} HTTP/1.1\r\nHost: {host}:{target.port}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            line = _first_line(connection, time.monotonic() + patience)
    except TimeoutError:
        return "no answer in time"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    version, _, rest = line.partition(" ")
    status = rest.partition(" ")[0].strip()
    if not version.startswith("HTTP/") or not re.fullmatch("[0-9]{3}", status):
        return "the answer is not HTTP"
    return "" if status == "200" else f"the answer is {status}"


def _first_line(connection: socket.socket, deadline: float) -> str:
    """Read the status line. The deadline holds for all of it, also where it comes byte by byte."""
    received = b""
    while b"\n" not in received and len(received) < _STATUS_LINE:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        data = connection.recv(_STATUS_LINE)
        if not data:
            break
        received += data
    return received.partition(b"\n")[0].decode("latin-1")


def wait_ready(
    url: str,
    timeout: float,
    *,
    interval: float = 0.5,
    alive: Callable[[], bool] | None = None,
) -> str:
    """Ask *url* every *interval* seconds until it answers 200, for *timeout* seconds at most.

    Args:
        url: ``http://HOST:PORT/PATH``.
        timeout: seconds; none of the waits within goes beyond it.
        interval: seconds from one answer to the next question.
        alive: called before each question; when it says no, the wait ends.

    Returns:
        "" when the server is ready, else what the last question met with.

    Raises:
        ValueError: *url* has another form.
    """
    target = Target.parse(url)
    deadline = time.monotonic() + timeout
    reason = "the time is up"
    while alive is None or alive():
        left = deadline - time.monotonic()
        if left <= 0:
            return reason
        # connecting and answering have a share each
        reason = probe(target, patience=min(_PATIENCE, left / 2))
        if not reason:
            return ""
        time.sleep(max(0.0, min(interval, deadline - time.monotonic())))
    return _ENDED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line *arguments* (those of the process when none are given) and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="modelgrid.health",
        description="Wait until GET URL answers 200.",
        epilog="exit codes: 0 ready, 1 not ready in time, 2 called wrongly",
        allow_abbrev=False,
    )
    parser.add_argument("url", metavar="URL", help="http://HOST:PORT/PATH")
    parser.add_argument("--timeout", type=_seconds, required=True, metavar="SECONDS", help="how long to wait")
    parser.add_argument("--interval", type=_seconds, default=0.5, metavar="SECONDS", help="pause between probes (0.5)")
    options = parser.parse_args(arguments)
    try:
        reason = wait_ready(options.url, options.timeout, interval=options.interval, alive=_main_process_lives())
    except ValueError as error:
        parser.error(str(error))
    if reason:
        text = reason if reason == _ENDED else f"was not ready after {options.timeout:g} s: {reason}"
        sys.stderr.write(f"modelgrid.health: {options.url} {text}\n")
        return 1
    return 0


def _main_process_lives() -> Callable[[], bool] | None:
    """Return what tells whether the service's main process lives, where systemd says which it is.

    While ExecStartPost= runs, systemd does not end a service whose main process is gone: nobody would be left to tell
    why nothing answers. $MAINPID: systemd.exec(5).
    """
    text = os.environ.get("MAINPID", "")
    if not text.isdecimal() or sys.platform == "win32":
        return None
    pid = int(text)

    def lives() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    return lives


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
