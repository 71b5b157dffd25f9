"""Who listens at which TCP port of the host, from /proc (proc(5)). Reads only."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelgrid.apply.store.files import FileSystem
    from modelgrid.ir import Endpoint

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")

#: TCP_LISTEN of the kernel's tcp_states.h, as the tables have it.
_LISTEN = "0A"
#: Columns of a table: own address, state, inode.
_LOCAL, _STATE, _INODE = 1, 3, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A socket that listens. *inode* tells it from every other."""

    address: IPv4Address | IPv6Address
    port: int
    inode: str

    def takes(self, endpoint: Endpoint) -> bool:
        """Say whether nobody else can listen at *endpoint*, as bind(2) has it.

        Of a socket for every IPv6 address the tables do not tell whether it takes IPv4 too. Nearly every one does
        (ipv6(7), IPV6_V6ONLY, is off by default).
        """
        if endpoint.port != self.port:
            return False
        try:
            wanted = ip_address(endpoint.host)
        except ValueError:
            return False
        if self.address == wanted:
            return True
        if self.address == IPv6Address("::") or wanted == IPv6Address("::"):
            return True
        same_kind = self.address.version == wanted.version
        return same_kind and (self.address.is_unspecified or wanted.is_unspecified)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that has a socket. *groups* are the parts of its control group's path, its unit among them."""

    pid: int
    name: str
    groups: tuple[str, ...]

    def __str__(self) -> str:
        units = [part for part in self.groups if part.endswith((".service", ".socket", ".scope"))]
        return f"{self.name} (process {self.pid}{f', {units[-1]}' if units else ''})"


def listeners(files: FileSystem) -> tuple[Listener, ...]:
    """Return every socket that listens in the network namespace of this process; none where /proc does not tell."""
    found = []
    for table in _TABLES:
        try:
            lines = files.read(Path(table)).decode("ascii", errors="replace").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if len(columns) > _INODE and columns[_STATE] == _LISTEN:
                with contextlib.suppress(ValueError):
                    found.append(_listener(columns[_LOCAL], columns[_INODE]))
    return tuple(found)


def holders(files: FileSystem, inodes: Iterable[str]) -> Mapping[str, Holder]:
    """Return the process that has each of the sockets *inodes*. One of another user is seen by root alone."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, Holder] = {}
    for pid in files.listdir(Path("/proc")):
        if not pid.isdigit():
            continue
        folder = Path("/proc") / pid
        # processes come and go, and their files with them
        with contextlib.suppress(OSError):
            for number in files.listdir(folder / "fd"):
                inode = wanted.get(files.readlink(folder / "fd" / number) or "")
                if inode is not None and inode not in found:
                    found[inode] = _holder(files, folder)
        if len(found) == len(wanted):
            break
    return found


def _holder(files: FileSystem, folder: Path) -> Holder:
    name = files.read(folder / "comm").decode(errors="replace").strip()
    groups: list[str] = []
    with contextlib.suppress(OSError):
        for line in files.read(folder / "cgroup").decode(errors="replace").splitlines():
            groups += line.rpartition(":")[2].split("/")
    return Holder(pid=int(folder.name), name=name, groups=tuple(filter(None, groups)))


def _listener(local: str, inode: str) -> Listener:
    text, _, port = local.partition(":")
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        # the kernel writes each 32 bits of the address as a number
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    address = ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return Listener(address=mapped or address, port=int(port, 16), inode=inode)
