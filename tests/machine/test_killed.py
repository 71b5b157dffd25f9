"""apply, rollback and destroy, killed on a booted machine; `killed_program.py` says how.

By default at every 40th of their calls, others on another day. ``MODELGRID_KILL_EVERYWHERE=1`` kills at all, and
``MODELGRID_KILL_EVERYWHERE=4,2`` at every fourth from the second on: so several machines may share the work.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.machine.layers import VENV

if TYPE_CHECKING:
    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

EVERYWHERE = os.environ.get("MODELGRID_KILL_EVERYWHERE", "")
PROGRAM = Path(__file__).with_name("killed_program.py")

#: Two servers that come up in no time: Python's own.
OLD = """\
version: 1
gateway: {listen: 127.0.0.1:8080}
engines:
  light:
    program: python3
    command: [-m, http.server, --bind, "{host}", "{port}"]
    health: {path: /}
    apis: [/v1/chat/completions]
    sources: [name]
models:
  a: {engine: light, runtime: native, source: x}
  gone: {engine: light, runtime: native, source: x}
"""
#: One changes, one goes, one comes.
NEW = OLD.replace("source: x}", "source: x, args: [--cgi]}", 1).replace("gone:", "more:")

#: Writes the tree of a compiled folder for `PROGRAM`.
READ = """
import pickle, sys
from pathlib import Path
from modelgrid.apply.store.files import FileSystem
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.layout import Layout
generations = Generations(FileSystem(), Layout.system())
Path(sys.argv[1]).write_bytes(pickle.dumps(generations.read(generations.current())))
"""


def test_killed_anywhere_the_next_apply_runs_what_was_asked_for(fresh_machine: Machine) -> None:
    machine = fresh_machine
    machine.copy_in(PROGRAM, "/root/killed_program.py")
    for name, text in (("old", OLD), ("new", NEW)):
        machine.write("/root/modelgrid.yaml", text)
        machine.run(["modelgrid", "apply", "/root/modelgrid.yaml"], timeout=300)
        machine.run([f"{VENV}/bin/python", "-c", READ, f"/root/{name}"])
    stride, _, offset = EVERYWHERE.partition(",") if EVERYWHERE else ("40", "", str(1 + time.gmtime().tm_yday % 40))
    command = [f"{VENV}/bin/python", "/root/killed_program.py", "/root/old", "/root/new", stride, offset or "1"]
    done = machine.run(command, check=False, timeout=7200 if EVERYWHERE else 300)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    kills = json.loads(done.stdout.splitlines()[-1])["kills"]
    assert kills.keys() == {"upgrade", "rollback", "first apply", "destroy"}
    assert sum(kills.values()) > 300 // int(stride)
