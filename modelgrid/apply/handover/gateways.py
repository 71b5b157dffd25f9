"""The gateways that run on a host, as a change drives them: by which manifest they route, who takes new connections.

They are spoken to by files (:mod:`modelgrid.live`): what is written is in effect when every worker says so.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.store.files import Kind, make_folder, remove_name, replace_file, spare_name
from modelgrid.emit.names import GATEWAY
from modelgrid.live import ROUTING, SERVING, WORKER_PREFIX, Serving, WorkerStatus, load_worker_status
from modelgrid.manifest import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from modelgrid.apply.host import Host
    from modelgrid.manifest import Manifest

#: Seconds between two looks at the workers' files, and for how many seconds a word may go unheard.
_PAUSE = 0.05
_PATIENCE = 15.0

_READABLE = 0o644

_PROCESSES = Path("/proc")


class GatewaySilentError(Exception):
    """A gateway that runs did not take what it was told in time."""


class Gateways:
    """The gateways of one host: the unit, and while that restarts, its stand-in."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._folder = host.layout.live

    def workers(self, unit: str = GATEWAY) -> tuple[WorkerStatus, ...]:
        """Return what each worker of the gateway *unit* says of itself; none where it runs none, or says nothing."""
        files = self._host.files
        folder = self._host.layout.runtime / unit.removesuffix(".service")
        found = []
        try:
            names = files.listdir(folder)
        except PermissionError:
            # the folder of a user that is none of ours to see
            return ()
        for name in names:
            process = name.removeprefix(WORKER_PREFIX).removesuffix(".json")
            # one that was killed has left its file
            if name.startswith(WORKER_PREFIX) and files.kind(_PROCESSES / process) is not None:
                try:
                    found.append(load_worker_status(files.read(folder / name)))
                except (OSError, ValueError):
                    continue
        return tuple(found)

    def route(self, manifest: Manifest, units: Iterable[str]) -> None:
        """Make every worker of *units* route by *manifest*.

        Raises:
            GatewaySilentError: one does not, in time.
        """
        content = dump(manifest).encode()
        make_folder(self._host.files, self._folder)
        replace_file(self._host.files, self._folder / ROUTING, content, _READABLE)
        wanted = hashlib.sha256(content).hexdigest()
        self._await(units, lambda worker: worker.manifest == wanted)

    def release(self) -> None:
        """Let every gateway route by the current generation again, and take connections by itself."""
        for name in (ROUTING, SERVING):
            path = self._folder / name
            remove_name(self._host.files, path)
            remove_name(self._host.files, spare_name(path))

    def forget(self) -> None:
        """Remove the live folder, for a host that has no gateway any more."""
        self.release()
        if self._host.files.kind(self._folder) is Kind.FOLDER and not self._host.files.listdir(self._folder):
            self._host.files.rmdir(self._folder)

    def give(self, unit: str, index: int, units: Iterable[str]) -> None:
        """Have new connections go to *unit*, whose socket is the one at *index*; all of *units* have to know.

        Raises:
            GatewaySilentError: one does not, in time.
        """
        make_folder(self._host.files, self._folder)
        content = Serving(unit=unit, index=index).dump().encode()
        replace_file(self._host.files, self._folder / SERVING, content, _READABLE)
        self._await(units, lambda worker: worker.serving == unit)

    def drain(self, addresses: Iterable[str], units: Iterable[str], *, seconds: float) -> bool:
        """Wait until no worker of *units* has a request at one of *addresses* any more, at most *seconds*.

        Returns whether it came to that.
        """
        wanted, asked = set(addresses), tuple(units)

        def idle() -> bool:
            workers = [worker for unit in asked for worker in self.workers(unit)]
            return not any(worker.in_flight.get(address) for worker in workers for address in wanted)

        return self._until(idle, seconds)

    def idle(self, unit: str, *, seconds: float) -> bool:
        """Wait until *unit* has no request at all any more, at most *seconds*. Returns whether it came to that."""
        return self._until(
            lambda: not any(worker.held or any(worker.in_flight.values()) for worker in self.workers(unit)), seconds
        )

    def await_workers(self, unit: str) -> None:
        """Wait until *unit* has workers that route.

        Raises:
            GatewaySilentError: it has none, in time.
        """
        if not self._until(lambda: any(worker.manifest for worker in self.workers(unit)), _PATIENCE):
            raise GatewaySilentError(unit)

    def _await(self, units: Iterable[str], heard: Callable[[WorkerStatus], bool]) -> None:
        asked = tuple(units)
        if self._until(lambda: all(heard(worker) for unit in asked for worker in self.workers(unit)), _PATIENCE):
            return
        raise GatewaySilentError(next(unit for unit in asked if not all(map(heard, self.workers(unit)))))

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        for _ in range(max(1, round(seconds / _PAUSE))):
            if condition():
                return True
            self._host.sleep(_PAUSE)
        return condition()
