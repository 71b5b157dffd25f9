"""Where another host is, and the command line of ssh that starts ModelGrid there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelgrid.errors import UsageError

_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9._][A-Za-z0-9._+-]*)@)?"
    r"(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*|\[(?P<v6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?\Z"
)
_LARGEST_PORT = 65535

#: Exit codes of what is run there before ModelGrid is.
NO_MODELGRID = 90
NO_SUDO = 91
#: ssh(1): the exit code of ssh itself where it cannot connect or log in, or loses the connection.
SSH_FAILED = 255

#: What every call has, before the options of the host. A password cannot be typed, for several hosts are asked at once.
_OPTIONS = (
    "-T",
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=15"),
    # what the user's configuration has for logins by hand: a second one could not have the same ports
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
)

#: Beside the PATH, which may be a short one: where the README, pip and pipx put the program.
_FIND = (
    'for p in modelgrid /usr/local/bin/modelgrid /opt/modelgrid/bin/modelgrid "$HOME/.local/bin/modelgrid";'
    ' do f=$(command -v "$p") && break; done;'
    f' [ -n "$f" ] || exit {NO_MODELGRID};'
)
_AS_ROOT = f' [ "$(id -u)" = 0 ] || {{ command -v sudo >/dev/null || exit {NO_SUDO}; exec sudo -n "$f" remote; }};'
_START = ' exec "$f" remote'


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host that ssh reaches. An empty *user* and no *port* leave both to the user's ssh configuration."""

    host: str
    user: str = ""
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"


def parse_address(text: str) -> Address:
    """Read ``ssh://[USER@]HOST[:PORT]``; HOST may be a name that only the user's ssh configuration knows.

    Raises:
        UsageError: it has another form. No part of one that is taken can be an option of ssh.
    """
    found = _ADDRESS.match(text)
    if found is None or not 0 < int(found["port"] or 22) <= _LARGEST_PORT:
        raise UsageError(f"--host {text!r} is no address of a host", hint="write ssh://USER@HOST or ssh://HOST:PORT")
    port = int(found["port"]) if found["port"] else None
    return Address(host=found["v6"] or found["host"], user=found["user"] or "", port=port)


def ssh_argv(address: Address, *, as_root: bool, program: str = "ssh") -> tuple[str, ...]:
    """Return the command line that starts ``modelgrid remote`` on *address*, by sudo where *as_root* needs it.

    ssh hands its command to a shell there as text. That text is one of two that stand above: nothing that anyone gave
    is part of it.
    """
    script = f"{_FIND}{_AS_ROOT if as_root else ''}{_START}"
    # whatever shell the user has there: this much is the same in all
    command = f"exec sh -c '{script}'"
    user = ("-l", address.user) if address.user else ()
    port = ("-p", str(address.port)) if address.port else ()
    return (program, *_OPTIONS, *user, *port, "--", address.host, command)
