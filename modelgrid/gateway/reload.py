"""The files that the gateway reads, read again when they change. A bad file is refused, and the old value stays."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from typing import TYPE_CHECKING, Generic, TypeVar

from modelgrid import live
from modelgrid.gateway.keys import Keyring
from modelgrid.gateway.openai import unavailable
from modelgrid.gateway.routing import RoutingTable
from modelgrid.manifest import Keys, ManifestError, load_keys, load_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

INTERVAL = 0.25
#: More than share a port (Linux: net/core/sock_reuseport.c, U16_MAX).
_SOCKETS = 2**16


class WatchedFile(Generic[T]):
    """The value of a file.

    What counts as change is another file under the path, through all symbolic links, or another time or size of
    the same one. So the swap of a generation's link is seen, and a file whose links changed alone is not read.

    Attributes:
        path: as it was given; relative to the working directory, a link is followed anew each time.
        value: of the last good file; None before there was one, and, of a file that may be missing, while it is.
    """

    def __init__(
        self,
        path: Path,
        load: Callable[[bytes, os.stat_result], T],
        *,
        refused: Callable[[Path, str], None],
        may_be_missing: bool = False,
    ) -> None:
        self.path = path
        self.value: T | None = None
        self._load = load
        self._refused = refused
        self._may_be_missing = may_be_missing
        self._seen: object = None

    def refresh(self) -> None:
        """Look again. Each bad file is told to *refused* once."""
        try:
            seen: object = _identity(self.path.stat())
        except OSError as error:
            seen = error.errno
        if seen == self._seen:
            return
        self._seen = seen
        if seen == errno.ENOENT and self._may_be_missing:
            self.value = None
            return
        try:
            with self.path.open("rb") as file:
                stat = os.fstat(file.fileno())
                self._seen = _identity(stat)
                self.value = self._load(file.read(), stat)
        except OSError as error:
            self._refused(self.path, error.strerror or str(error))
        except ManifestError as error:
            self._refused(self.path, error.message)


def _identity(stat: os.stat_result) -> tuple[int, ...]:
    return (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)


def read_table(data: bytes, stat: os.stat_result) -> RoutingTable:
    """A routing table of a manifest's bytes.

    Raises:
        ManifestError: the bytes are no manifest, or one that cannot be served.
    """
    return RoutingTable(load_manifest(data), sha256=hashlib.sha256(data).hexdigest(), created=int(stat.st_mtime))


def read_keyring(data: bytes, *, exposed: bool) -> Keyring:
    """A keyring of a key file's bytes.

    Raises:
        ManifestError: the bytes are no keys, or there are none and the gateway is *exposed* beyond loopback.
    """
    keyring = Keyring(load_keys(data), sha256=hashlib.sha256(data).hexdigest())
    if exposed and not keyring:
        raise ManifestError("there is no key, and the gateway listens beyond loopback")
    return keyring


class State:
    """What the gateway works by at this moment. A request takes what it needs once, so a swap never splits it.

    Attributes:
        table: the last good one: of the live folder while it has one, else of the manifest. None before there was any.
        serving: which gateway new connections go to; None where nobody said.
        unit: what the live folder calls this gateway; empty where it does not.
    """

    def __init__(
        self,
        *,
        manifest: Path,
        keys: Path | None,
        exposed: bool,
        folder: Path | None = None,
        unit: str = "",
        changed: Callable[[], None],
        refused: Callable[[Path, str], None],
    ) -> None:
        """Read the files.

        Args:
            manifest: path of the manifest.
            keys: path of the keys; None where no key is asked for.
            exposed: whether the gateway is reached from beyond this machine.
            folder: the live folder (:mod:`modelgrid.live`), which need not be there.
            unit: what it calls this gateway.
            changed: called when anything of this is another than before; not by this call.
            refused: called for each bad file, once, with its path and the reason.
        """
        self.unit = unit
        self._changed = changed
        self._manifest = WatchedFile(manifest, read_table, refused=refused)
        self._live = self._serving = self._keys = None
        if folder is not None:
            self._live = WatchedFile(folder / live.ROUTING, read_table, refused=refused, may_be_missing=True)
            self._serving = WatchedFile(folder / live.SERVING, _read_serving, refused=refused, may_be_missing=True)
        self._no_keys = None if exposed else Keyring(Keys(keys=()))
        if keys is not None:
            self._keys = WatchedFile(keys, lambda data, _: read_keyring(data, exposed=exposed), refused=refused)
        self.table: RoutingTable | None = None
        self.serving: live.Serving | None = None
        self._refresh()

    def table_in_use(self) -> RoutingTable:
        """The table.

        Raises:
            ApiError: there is none yet.
        """
        if self.table is None:
            raise unavailable("The gateway has no manifest yet.", code="gateway_not_ready", failed="gateway", seconds=1)
        return self.table

    def leaving(self) -> bool:
        """Whether another gateway takes the new connections, and this one only finishes what it has."""
        return self.serving is not None and bool(self.unit) and self.serving.unit != self.unit

    @property
    def keyring(self) -> Keyring | None:
        """The last good keys; None before there were any: then nobody may be let in."""
        return self._no_keys if self._keys is None else self._keys.value

    async def watch(self, interval: float = INTERVAL) -> None:
        """Look at the files every *interval* seconds, for ever."""
        while True:
            await asyncio.sleep(interval)
            before = (self.table, self.serving, self.keyring)
            self._refresh()
            if any(old is not new for old, new in zip(before, (self.table, self.serving, self.keyring), strict=True)):
                self._changed()

    def _refresh(self) -> None:
        # the live table first: once it is gone, the manifest that is looked at is the one that takes its place
        for file in (self._live, self._serving, self._keys, self._manifest):
            if file is not None:
                file.refresh()
        self.table = (self._live.value if self._live is not None else None) or self._manifest.value
        self.serving = self._serving.value if self._serving is not None else None


def _read_serving(data: bytes, _: os.stat_result) -> live.Serving:
    try:
        serving = live.load_serving(data)
    except ValueError as error:
        raise ManifestError(str(error)) from error
    if not 0 <= serving.index < _SOCKETS:
        raise ManifestError(f"there is no socket {serving.index}")
    return serving
