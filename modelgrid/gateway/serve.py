"""Running the gateway: what must hold before it listens, and how Granian is told to run it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from modelgrid.errors import ConfigError, HostError
from modelgrid.live import SERVING
from modelgrid.manifest import ManifestError
from modelgrid.ports import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from modelgrid.gateway.worker import Settings

#: Connections per worker. Granian counts idle ones too, and takes no more beyond it, so it is above any sane load.
_CONNECTIONS = 16384
_HEADER_TIMEOUT_MS = 15_000
_HEADER_BYTES = 32 * 1024
_FILES = 65536


def serve(
    *,
    manifest: Path,
    keys: Path | None,
    host: str,
    port: int,
    live: Path | None = None,
    unit: str = "",
    workers: int = 1,
) -> None:
    """Run the gateway until SIGTERM or SIGINT, then let what is in flight finish. Call it in the main thread.

    Args:
        manifest: path of the routing manifest; looked at again while the gateway runs, as are the other files.
        keys: path of the key file; None: nobody is asked for one.
        host: IP address to listen on, or ``localhost``.
        port: TCP port.
        live: folder in which changes of the host are told (:mod:`modelgrid.live`); it need not be there. Where it says
            who serves, the port may be another gateway's as well.
        unit: the name by which that folder speaks of this gateway.
        workers: processes that share the port. One on Windows.

    Raises:
        ConfigError: a file is missing or bad, or the gateway would listen beyond loopback without a key.
        HostError: the port cannot be had, or a worker died.
    """
    settings = prepare(manifest=manifest, keys=keys, host=host, port=port, live=live, unit=unit)
    run(settings, workers=workers)


def prepare(
    *, manifest: Path, keys: Path | None, host: str, port: int, live: Path | None = None, unit: str = ""
) -> Settings:
    """Check everything that can be checked before listening.

    Raises:
        ConfigError: a file is missing or bad, or the gateway would listen beyond loopback without a key.
        HostError: the port cannot be had.
    """
    from modelgrid.gateway.reload import read_keyring, read_table  # noqa: PLC0415  slow: asyncio
    from modelgrid.gateway.worker import Settings  # noqa: PLC0415  slow: asyncio

    address = "127.0.0.1" if host == "localhost" else host
    try:
        exposed = not ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise ConfigError(f"cannot listen on {host!r}: it is no IP address") from None
    if keys is None and exposed:
        raise ConfigError(
            f"refusing to listen on {host} without keys: whoever reaches it could use every model",
            hint="give the gateway a key, or listen on 127.0.0.1",
        )
    with _naming(manifest):
        read_table(manifest.read_bytes(), manifest.stat())
    if keys is not None:
        with _naming(keys):
            read_keyring(keys.read_bytes(), exposed=exposed)
    if not 0 < port < 2**16:
        raise ConfigError(f"{port} is no TCP port")
    # only in the middle of a change, where who serves is said, a second gateway is meant to share the port
    if live is None or not (live / SERVING).exists():
        _check_port(address, port)
    return Settings(
        manifest=manifest.absolute(),
        keys=keys.absolute() if keys is not None else None,
        host=address,
        port=port,
        exposed=exposed,
        live=live.absolute() if live is not None else None,
        unit=unit,
    )


def run(settings: Settings, *, workers: int = 1, renewal: float = 3.5) -> None:
    """Serve with Granian until told to stop.

    *renewal* is how long a worker and its successor serve together after SIGHUP, in seconds.

    Raises:
        HostError: the port cannot be had, or a worker died.
    """
    from granian import Granian  # noqa: PLC0415  slow
    from granian.constants import HTTPModes, Interfaces  # noqa: PLC0415  slow
    from granian.http import HTTP1Settings  # noqa: PLC0415  slow
    from granian.log import LogLevels  # noqa: PLC0415  slow

    from modelgrid.gateway.worker import load  # noqa: PLC0415  slow: asyncio

    _raise_file_limit()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_leave_signals_to_the_parent)
    server = Granian(
        "modelgrid.gateway",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=workers if sys.platform != "win32" else 1,
        http=HTTPModes.http1,
        websockets=False,
        backlog=4096,
        backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_TIMEOUT_MS, max_buffer_size=_HEADER_BYTES),
        log_level=LogLevels.warning,
        log_dictconfig=_log_config(),
        log_access=False,
        respawn_failed_workers=True,
        respawn_interval=renewal,
    )
    interrupt: Any = server.signal_handler_interrupt

    def interrupt_once(*_: object) -> None:
        if not server.interrupt_signal:  # a second signal within the first one's handler would deadlock
            interrupt()

    server.signal_handler_interrupt = interrupt_once  # type: ignore[method-assign]  # Granian has no seam for it
    try:
        # a loader of our own: Granian's would put the working directory on the import path
        server.serve(target_loader=partial(load, replace(settings, alone=workers == 1)), wrap_loader=False)
    except RuntimeError as error:  # Granian's word for a socket that it cannot have; a backtrace follows the first line
        where = _where(settings.host, settings.port)
        raise HostError(f"cannot listen on {where}: {str(error).partition(chr(10))[0]}") from None
    except SystemExit as error:
        if error.code and not server.interrupt_signal:
            raise HostError("a worker of the gateway ended by itself", hint="what it wrote before says why") from None


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file into a ConfigError that names it."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ManifestError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from error


def _check_port(host: str, port: int) -> None:
    """Look before Granian binds: it does so with SO_REUSEPORT, and would share the port with a second gateway."""
    if reason := refusal(host, port):
        raise HostError(reason, hint="stop what listens there, or let the gateway listen on another port")


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _leave_signals_to_the_parent() -> None:
    """Undo in a forked worker what Granian set up for the parent, until it sets up the worker's own.

    The parent's handlers would swallow the signal that tells a starting worker to end. Ctrl-C and a hang-up reach all
    processes of a terminal, and are the parent's to answer.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _raise_file_limit() -> None:
    """Two sockets per stream outgrow the usual soft limit of 1024 open files."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415  not on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with contextlib.suppress(OSError, ValueError):  # a sandbox or macOS may refuse: then it stays as it is
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _log_config() -> dict[str, Any]:
    """Granian's own lines go to stderr: stdout is for results."""
    return {
        "handlers": {
            name: {"formatter": "generic", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
            for name in ("console", "access")
        }
    }
