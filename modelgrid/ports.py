"""Addresses with a TCP port: how they are written, how they are reached, whether one can be listened at."""

from __future__ import annotations

import errno
import sys
from ipaddress import IPv6Address, ip_address

_PORT_DIGITS = 5
_HIGHEST_PORT = 65535

#: What listens at every address is asked at the loopback of its kind.
_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  recognised, not listened at


def split_address(text: str) -> tuple[str, int] | None:
    """Return the IP address and the port of ``127.0.0.1:8080`` or ``[::1]:8080``; none for any other form."""
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    try:
        address = ip_address(host)
    except ValueError:
        return None
    # int() reads more than digits, and ip_address a zone that no unit file carries
    if isinstance(address, IPv6Address) is not bracketed or "%" in host or not (port.isascii() and port.isdigit()):
        return None
    return (host, int(port)) if len(port) <= _PORT_DIGITS and 1 <= int(port) <= _HIGHEST_PORT else None


def reachable(host: str) -> str:
    """Return the address at which this host reaches what listens at *host*."""
    return _LOOPBACKS.get(host, host)


def refusal(host: str, port: int) -> str:
    """Say in one sentence why nothing can listen at the IP address *host* and *port*; "" where it can.

    A snapshot: another program may take the port a moment later.
    """
    import socket  # noqa: PLC0415  `check` only splits addresses

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            if sys.platform != "win32":
                # a port whose last connections are in TIME_WAIT is free; on Windows the option means sharing instead
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind((host, port))
            attempt.listen(1)
    except OSError as error:
        match error.errno:
            case errno.EADDRINUSE:
                return f"port {port} of {host} is taken by another program"
            case errno.EADDRNOTAVAIL:
                return f"{host} is not an address of this host"
            case errno.EACCES:
                return f"this user may not listen at port {port}"
            case _:
                return f"cannot listen at port {port} of {host}: {error.strerror or error}"
    return ""
