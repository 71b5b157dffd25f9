"""Stand-ins: a second server of a model, or a second gateway, that answers while the first one restarts. Pure.

The file of a stand-in is that of the unit with a name and an address of its own. It lies where a reboot empties
(``/run``), so that none outlives one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from modelgrid.emit.artifact import Artifact
from modelgrid.emit.names import GATEWAY, hardware_address, unit_name
from modelgrid.ports import split_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from modelgrid.apply.planning.units import Unit

#: What every name of a stand-in begins with.
PREFIX = "modelgrid-standin-"

#: Hosts at the lower end of a network that no model ever has: all but the network itself and its gateway.
_LOW = range(2, 16)
#: Loopback ports that no model has by itself, below the ephemeral ones of Linux.
_PORTS = range(30000, 32000)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A unit that stands in for *unit*.

    Attributes:
        unit: the unit that it stands in for.
        name: its own.
        artifact: its file; the path is as in a tree, ``quadlets/…`` or ``units/…``.
        address: where it answers, ``address:port``; empty for a gateway, which shares the port.
    """

    unit: str
    name: str
    artifact: Artifact
    address: str = ""


def is_standin(name: str) -> bool:
    """Say whether *name* is that of a stand-in, its file or its container."""
    return name.startswith(PREFIX)


def stand_in_for(unit: Unit, *, subnets: Iterable[str], taken: Collection[str]) -> StandIn | None:
    """Return the stand-in for server *unit*; none where it cannot have one.

    *subnets* are those of containers, in CIDR form; *taken* are addresses, ``address:port``, that are in use. A program
    with a folder of its own for its state cannot have one: systemd would give the folder away to the second.
    """
    address = split_address(unit.value("X-ModelGrid", "Endpoint"))
    if address is None or unit.values.get(("Service", "StateDirectory")):
        return None
    host, port = address
    inside = next((net for net in map(IPv4Network, subnets) if ":" not in host and IPv4Address(host) in net), None)
    if inside is None:
        return _at_port(unit, host, port, taken)
    found = next((str(inside[number]) for number in _LOW if f"{inside[number]}:{port}" not in taken), None)
    if found is None:
        return None
    text = _body(unit).replace(hardware_address(host), hardware_address(found))
    return _named(unit, re.sub(rf"(?<![\d.]){re.escape(host)}(?![\d.])", found, text), f"{found}:{port}")


def _at_port(unit: Unit, host: str, port: int, taken: Collection[str]) -> StandIn | None:
    """Return the stand-in at another port of the loopback, if *unit* says its port in a way that is known."""
    where = f"[{host}]" if ":" in host else host
    other = next((number for number in _PORTS if f"{where}:{number}" not in taken), None)
    said = re.compile(rf"(?:(?<=:)|(?<=--port[ =])|(?<=-p )|(?<=PORT=)){port}(?![\d.])")
    starts = [
        value
        for key in (("Service", "ExecStart"), ("Service", "Environment"), ("Container", "PublishPort"))
        for value in unit.values.get(key, ())
    ]
    if other is None or not any(said.search(value) for value in starts):
        return None
    return _named(unit, said.sub(str(other), _body(unit)), f"{where}:{other}")


def second_gateway(unit: Unit) -> StandIn:
    """Return the gateway that serves beside *unit*, on the same port, while that one restarts."""
    name = f"{PREFIX}gateway.service"
    stem = GATEWAY.removesuffix(".service")
    # the user stays: sockets share a port only where one user has them all (socket(7), SO_REUSEPORT)
    lines = [
        line if line.startswith("User=") else re.sub(rf"\b{stem}\b", name.removesuffix(".service"), line)
        for line in _body(unit).split("\n")
    ]
    return StandIn(unit=unit.name, name=name, artifact=Artifact(path=f"units/{name}", content="\n".join(lines)))


def standins_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the units of those of *names*, of files, that are stand-ins."""
    found = (unit_name(f"{'units' if name.endswith('.service') else 'quadlets'}/{name}") for name in names)
    return tuple(sorted(name for name in found if name is not None and is_standin(name)))


def _named(unit: Unit, text: str, address: str) -> StandIn:
    stem = unit.name.removesuffix(".service")
    own = PREFIX + stem.removeprefix("modelgrid-model-")
    path = unit.artifact.path.replace(stem, own)
    content = re.sub(rf"(?<![\w-]){re.escape(stem)}(?![\w-])", own, text)
    return StandIn(
        unit=unit.name, name=f"{own}.service", artifact=Artifact(path=path, content=content), address=address
    )


def _body(unit: Unit) -> str:
    """Return the text of *unit* up to [Install]: a stand-in starts with nothing but its change."""
    return unit.artifact.content.partition("\n[Install]\n")[0] + "\n"
