"""Whether a TCP port can be listened at."""

from __future__ import annotations

import errno
import socket
import sys


def refusal(host: str, port: int) -> str:
    """Say in one sentence why nothing can listen at the IP address *host* and *port*; "" where it can.

    A snapshot: another program may take the port a moment later.
    """
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
