"""The socket that this process listens on, and which socket of a shared port new connections go to. Linux alone.

Granian opens the socket itself, with SO_REUSEPORT, in each worker; the sockets of one port and one user are a group in
the order of their listening. A classic BPF program that is attached to any of them chooses for all (socket(7),
SO_ATTACH_REUSEPORT_CBPF); one that names a place where no socket is leaves the choice to the kernel. When a socket is
closed, the last of the group takes its place (Linux: net/core/sock_reuseport.c).
"""

from __future__ import annotations

import array
import os
import socket
import struct
import sys
from pathlib import Path

#: Whether :func:`own_listener` finds what there is.
TELLS_LISTENERS = sys.platform == "linux"

_DESCRIPTORS = Path("/proc/self/fd")

#: Linux: include/uapi/asm-generic/socket.h. Python has no name for it.
_SO_ATTACH_REUSEPORT_CBPF = 51
#: BPF_RET | BPF_K (Linux: include/uapi/linux/bpf_common.h): the whole program returns a constant.
_RETURN = 0x06


def own_listener(port: int) -> int | None:
    """The descriptor by which this process listens on *port*; none where it does not, or cannot tell."""
    try:
        descriptors = [int(name) for name in os.listdir(_DESCRIPTORS)]  # noqa: PTH208  names are all it takes
    except OSError:
        return None
    return next((found for found in descriptors if _listens(found, port)), None)


def choose(descriptor: int, index: int) -> None:
    """Let new connections go to socket *index* of the group that the one of *descriptor* belongs to.

    Raises:
        OSError: the kernel refuses, or the socket is none any more.
    """
    # struct sock_filter and struct sock_fprog (Linux: include/uapi/linux/filter.h)
    program = array.array("Q", struct.pack("=HBBI", _RETURN, 0, 0, index))
    address, length = program.buffer_info()
    with _duplicate(descriptor) as listener:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("HP", length, address))


def _listens(descriptor: int, port: int) -> bool:
    try:
        with _duplicate(descriptor) as found:
            return (
                found.family in {socket.AF_INET, socket.AF_INET6}
                and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
                and bool(found.getsockname()[1] == port)
            )
    except OSError:  # most are no sockets, and one was the folder
        return False


def _duplicate(descriptor: int) -> socket.socket:
    """The socket of *descriptor*. Close it: who holds a listening socket keeps its port taken, and unanswered."""
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
