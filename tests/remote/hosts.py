"""Hosts for ``--host`` on this machine: an ``ssh`` first on the PATH that behaves by the name of the host."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

#: What stands in for ssh. It keeps its arguments, one a line, and is what each host says of itself.
SSH = """\
#!/bin/sh
printf '%s\\n' "$@" >"{folder}/$$.argv"
previous=
for word; do name=$previous; previous=$word; done
case $name in
down) echo 'ssh: connect to host down port 22: No route to host' >&2; exit 255 ;;
bare) exit 90 ;;
plain) exit 91 ;;
locked) echo 'sudo: a password is required' >&2; exit 1 ;;
ancient) echo "modelgrid: error: argument COMMAND: invalid choice: 'remote'" >&2; exit 2 ;;
broken) echo 'ImportError: no module named pydantic' >&2; exit 1 ;;
other) echo '{{"modelgrid_remote":1,"version":"0.0.1"}}'; exec cat >/dev/null ;;
future) echo '{{"modelgrid_remote":99,"version":"9.0"}}'; exec cat >/dev/null ;;
lost) echo '{{"modelgrid_remote":1,"version":"{version}"}}'; read line; echo 'Connection reset by peer' >&2; exit 255 ;;
fake*) exec "{python}" -m tests.remote.fake "{folder}" "$name" ;;
noisy) echo 'Welcome to Debian'; echo '"x"' ;;
esac
exec sh -c "$previous"
"""

MODELGRID = """\
#!/bin/sh
exec "{python}" -m modelgrid "$@"
"""


class Hosts:
    """The folder that *ssh* and *modelgrid* lie in, and what they kept."""

    def __init__(self, folder: Path, *, version: str) -> None:
        self.folder = folder
        for name, text in (("ssh", SSH), ("modelgrid", MODELGRID)):
            file = folder / name
            file.write_text(text.format(folder=folder, python=sys.executable, version=version), encoding="utf-8")
            file.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """What a process needs to find them, and they the modules of this checkout."""
        return {"PATH": f"{self.folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def argvs(self) -> list[list[str]]:
        """The arguments of every ssh."""
        return [file.read_text(encoding="utf-8").splitlines() for file in sorted(self.folder.glob("*.argv"))]

    def facts(self, host: str, **changes: Any) -> None:
        """Have *host*, one of the fakes, be a Debian 13 with *changes*."""
        (self.folder / f"{host}.facts").write_text(json.dumps({**FACTS, **changes}), encoding="utf-8")

    def requests(self, host: str) -> list[dict[str, Any]]:
        """What *host*, one of the fakes, was asked, but for its facts."""
        file = self.folder / f"{host}.requests"
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


FACTS: dict[str, Any] = {
    "facts_version": 1,
    "system": "linux",
    "distribution": "debian",
    "distribution_version": "13",
    "arch": "x86_64",
    "podman": "5.4.2",
    "systemd": 257,
    "home": "/root",
    "python": "/opt/modelgrid/bin/python",
    "programs": {"podman": "/usr/bin/podman"},
    "embedded_llama": True,
    "gpus": [],
}
