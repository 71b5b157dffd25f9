"""The files that the gateway reads, read again when they change. A bad file is refused, and the old value stays."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, Generic, TypeVar

from modelgrid.gateway.keys import Keyring
from modelgrid.gateway.routing import RoutingTable
from modelgrid.manifest import Keys, ManifestError, load_keys, load_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

INTERVAL = 0.25


class WatchedFile(Generic[T]):
    """The value of a file.

    What counts as change is another file under the path, through all symbolic links, or another time or size of
    the same one. So the swap of a generation's link is seen, and a file whose links changed alone is not read.

    Attributes:
        path: as it was given; relative to the working directory, a link is followed anew each time.
        value: of the last good file; None before there was one.
    """

    def __init__(
        self,
        path: Path,
        load: Callable[[bytes, os.stat_result], T],
        *,
        loaded: Callable[[T], None],
        refused: Callable[[Path, str], None],
    ) -> None:
        self.path = path
        self.value: T | None = None
        self._load = load
        self._loaded = loaded
        self._refused = refused
        self._seen: object = None

    def refresh(self) -> None:
        """Look again. Each new value is told to *loaded*, each bad file once to *refused*."""
        try:
            seen: object = _identity(self.path.stat())
        except OSError as error:
            seen = error.errno
        if seen == self._seen:
            return
        self._seen = seen
        try:
            with self.path.open("rb") as file:
                stat = os.fstat(file.fileno())
                self._seen = _identity(stat)
                value = self._load(file.read(), stat)
        except OSError as error:
            self._refused(self.path, error.strerror or str(error))
        except ManifestError as error:
            self._refused(self.path, error.message)
        else:
            self.value = value
            self._loaded(value)


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
    keyring = Keyring(load_keys(data))
    if exposed and not keyring:
        raise ManifestError("there is no key, and the gateway listens beyond loopback")
    return keyring


class State:
    """What the gateway works by at this moment. A request takes what it needs once, so a swap never splits it."""

    def __init__(
        self,
        *,
        manifest: Path,
        keys: Path | None,
        exposed: bool,
        loaded: Callable[[RoutingTable | Keyring], None],
        refused: Callable[[Path, str], None],
    ) -> None:
        self._manifest = WatchedFile(manifest, read_table, loaded=loaded, refused=refused)
        self._keys: WatchedFile[Keyring] | None = None
        self._no_keys = None if exposed else Keyring(Keys(keys=()))
        if keys is not None:
            self._keys = WatchedFile(
                keys, lambda data, _: read_keyring(data, exposed=exposed), loaded=loaded, refused=refused
            )
        self._refresh()

    @property
    def table(self) -> RoutingTable | None:
        """The last good manifest; None before there was one."""
        return self._manifest.value

    @property
    def keyring(self) -> Keyring | None:
        """The last good keys; None before there were any: then nobody may be let in."""
        return self._no_keys if self._keys is None else self._keys.value

    async def watch(self, interval: float = INTERVAL) -> None:
        """Look at the files every *interval* seconds, for ever."""
        while True:
            await asyncio.sleep(interval)
            self._refresh()

    def _refresh(self) -> None:
        if self._keys is not None:
            self._keys.refresh()
        self._manifest.refresh()
