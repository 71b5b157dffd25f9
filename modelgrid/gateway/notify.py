"""Telling systemd that the gateway serves (sd_notify(3), $NOTIFY_SOCKET)."""

from __future__ import annotations

import os
import socket


def notify(message: str) -> None:
    """Send *message*, as ``READY=1``, to the service manager, where there is one that listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):  # Linux's abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
        try:
            unix.connect(address)
            unix.sendall(message.encode())
        except OSError:
            return  # nobody listens any more: the service goes on all the same
