"""Gives a fake host what the units of a tree need: devices, secrets, files that containers show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from modelgrid.apply.checks.needs import SecretKind, needs_of, secrets_of
from modelgrid.apply.planning.units import units_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from modelgrid.emit.artifact import Artifact
    from tests.apply.fakes import Machine


def equip(machine: Machine, tree: Sequence[Artifact]) -> None:
    """Put everything on *machine* that *tree* counts on."""
    devices: set[str] = set()
    for unit in units_of(tree).values():
        needs = needs_of(unit)
        devices.update(needs.devices)
        for path in needs.mounts:
            put_file(machine, path)
        for secret in secrets_of(unit, str(machine.layout.current)):
            if secret.kind is SecretKind.PODMAN:
                machine.processes.secrets[secret.name] = f"first-{secret.name}"
            else:
                put_file(machine, secret.path, mode=0o600)
    write_cdi(machine, devices)


def take_away(machine: Machine, tree: Sequence[Artifact]) -> None:
    """Remove again what :func:`equip` put into folders of ModelGrid's names, which are not its own."""
    for unit in units_of(tree).values():
        paths = [*needs_of(unit).mounts, *(item.path for item in secrets_of(unit, str(machine.layout.current)))]
        for real in (machine.real(path) for path in paths if path):
            real.unlink(missing_ok=True)
            folder = real.parent
            while folder.is_dir() and folder != machine.root and not any(folder.iterdir()):
                folder.rmdir()
                folder = folder.parent


def put_file(machine: Machine, path: str, text: str = "text", *, mode: int = 0o644) -> Path:
    """Write a file of the host, with its folders."""
    real = machine.real(path)
    real.parent.mkdir(parents=True, exist_ok=True)
    real.write_text(text)
    real.chmod(mode)
    return real


def write_cdi(machine: Machine, devices: Iterable[str], path: str = "/etc/cdi/test.json") -> None:
    """Write a CDI specification for each class of *devices*, given by their full names."""
    classes: dict[str, list[str]] = {}
    for device in devices:
        kind, _, name = device.partition("=")
        classes.setdefault(kind, []).append(name)
    for number, (kind, names) in enumerate(sorted(classes.items())):
        specification = {"cdiVersion": "0.6.0", "kind": kind, "devices": [{"name": name} for name in names]}
        put_file(machine, path.replace(".json", f"{number or ''}.json"), json.dumps(specification))
