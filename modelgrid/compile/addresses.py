"""Addresses and ports that follow from a model's name, so that adding a model does not move another's.

Each name has a place of its own by its hash. Where two names hash to one place, the model that stands
later in the file takes the next free one; a model that is added at the end therefore never moves others.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Below the ephemeral ports of Linux (32768 to 60999, ip-sysctl: ip_local_port_range) and out of the way of
#: registered services.
FIRST_PORT = 20000
PORTS = 10000

#: Hosts that are never given to a model: the network itself and its gateway at the lower end.
_RESERVED_LOW = 16


class NoRoomError(Exception):
    """There are more models than places."""


def assign_ports(names: Iterable[str], taken: Iterable[int]) -> dict[str, int]:
    """Give each of *names*, in the order of the file, a TCP port that is not in *taken*.

    Raises:
        NoRoomError: all ports of the range are taken.
    """
    places = _assign(names, PORTS, {port - FIRST_PORT for port in taken})
    return {name: FIRST_PORT + place for name, place in places.items()}


def assign_addresses(names: Iterable[str], subnet: str) -> dict[str, str]:
    """Give each of *names*, in the order of the file, an address of *subnet* (CIDR form).

    Raises:
        NoRoomError: the subnet has fewer addresses than models.
    """
    network = IPv4Network(subnet)
    first = int(network.network_address) + _RESERVED_LOW
    room = network.num_addresses - _RESERVED_LOW - 1  # the last address is the broadcast
    places = _assign(names, room, set())
    return {name: str(IPv4Network(first + place).network_address) for name, place in places.items()}


def _assign(names: Iterable[str], room: int, taken: set[int]) -> dict[str, int]:
    used = {place for place in taken if 0 <= place < room}
    places: dict[str, int] = {}
    for name in names:
        if len(used) >= room:
            raise NoRoomError(f"{room} places are not enough")
        place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % room
        while place in used:
            place = (place + 1) % room
        used.add(place)
        places[name] = place
    return places
