"""Files and units of another, where a tree of ours is to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.apply.fakes import Machine

GATEWAY = "/etc/systemd/system/modelgrid-gateway.service"
FOLDER = "/etc/containers/systemd/modelgrid"
#: By their paths: a unit, a quadlet in a folder of a team, and a folder with the name of ours.
FILES = {
    GATEWAY: "[Service]\nExecStart=/usr/bin/theirs\n",
    "/etc/containers/systemd/team/modelgrid-model-a.container": "[Container]\nImage=localhost/theirs\n",
    f"{FOLDER}/theirs.container": "[Container]\nImage=localhost/theirs\n",
    f"{FOLDER}/notes/README": "mine",
}
UNITS = ("modelgrid-gateway.service", "modelgrid-model-a.service", "theirs.service")
PLACES = (GATEWAY, "/etc/containers/systemd/team/modelgrid-model-a.container", FOLDER)


def put_foreign(machine: Machine) -> None:
    """Put all of them on *machine*; its units run."""
    for path, content in FILES.items():
        real = machine.real(path)
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_text(content)
    machine.systemd.daemon_reload()
    for unit in UNITS:
        machine.systemd._start(unit)
    machine.facts()


def assert_foreign_is_back(machine: Machine) -> None:
    """Everything is where it was, and runs."""
    assert {path: machine.real(path).read_text() for path in FILES} == FILES
    assert not any(machine.real("/etc/modelgrid").rglob("theirs*"))
    assert set(UNITS) <= machine.systemd.running.keys()
    assert machine.systemd.running["modelgrid-gateway.service"] == FILES[GATEWAY]


def assert_nothing_foreign_is_lost(machine: Machine) -> None:
    """Each file is in its place or kept, once."""
    found = sorted(path.read_text() for path in machine.root.rglob("*") if path.is_file() and not path.is_symlink())
    for content in set(FILES.values()):
        assert found.count(content) == list(FILES.values()).count(content)
