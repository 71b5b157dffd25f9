"""Drop-ins of the administrator for units of ours: kept by every apply, and shown.

systemd reads ``X.service.d/*.conf`` and, for a name with dashes, ``X-.service.d/*.conf`` of each of its beginnings
(systemd.unit(5)); podman's generator the same of quadlets (podman-systemd.unit(5)). Those for all units of a type
(``service.d``) are the distribution's business and not looked at.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.apply.drift.values import DriftKind, Finding
from modelgrid.apply.store.files import walk
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.units import Unit
    from modelgrid.apply.store.layout import Layout

#: Where systemd looks for drop-ins besides the folder of the layout (systemd.unit(5), UNIT FILE LOAD PATH), but for
#: those of generators.
_SYSTEM_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
_USER_FOLDERS = ("/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")


def drop_ins(host: Host, units: Mapping[str, Unit]) -> Mapping[str, tuple[Path, ...]]:
    """Return the drop-ins of each of *units* that has any."""
    files = host.files
    found: dict[str, list[Path]] = {}
    wanted = _folders_of({unit: unit for unit in units})
    for folder in unit_folders(host.layout, host.user):
        for name in files.listdir(folder):
            for unit in wanted.get(name, ()):
                places = (folder / name / file for file in files.listdir(folder / name) if file.endswith(".conf"))
                found.setdefault(unit, []).extend(places)
    wanted = _folders_of(
        {unit: PurePosixPath(item.artifact.path).name for unit, item in units.items() if not item.plain}
    )
    for folder in host.layout.quadlet_folders if wanted else ():
        # our own folder is a link there, so the walk does not go into it
        for inner in map(PurePosixPath, walk(files, folder)):
            for unit in wanted.get(inner.parent.name, ()) if inner.suffix == ".conf" else ():
                found.setdefault(unit, []).append(folder / inner)
    return {unit: tuple(sorted(paths)) for unit, paths in sorted(found.items()) if paths}


def unit_folders(layout: Layout, user: int) -> tuple[Path, ...]:
    """Return the folders where systemd finds units of *layout* that a person or a package writes."""
    if layout.scope is Scope.SYSTEM:
        return (layout.unit_folder, *map(Path, _SYSTEM_FOLDERS))
    runtime = Path(f"/run/user/{user}/systemd")
    own = (
        layout.unit_folder.with_name("user.control"),
        runtime / "user.control",
        runtime / "transient",
        runtime / "user",
    )
    return (layout.unit_folder, *own, *map(Path, _USER_FOLDERS))


def drop_in_drift(host: Host, units: Mapping[str, Unit]) -> Iterator[Finding]:
    """Yield every drop-in of the administrator."""
    for unit, paths in drop_ins(host, units).items():
        for path in paths:
            yield Finding(
                kind=DriftKind.DROP_IN,
                message=f"{unit} has a drop-in of yours: {path}",
                mend="say it in modelgrid.yaml (quadlet:, systemd:), remove it, and systemctl daemon-reload",
                path=str(path),
                unit=unit,
                model=units[unit].model,
            )


def drop_in_notes(host: Host, units: Mapping[str, Unit]) -> tuple[str, ...]:
    """Return what a plan says of the drop-ins of *units*: they are kept."""
    return tuple(
        f"{unit} has drop-ins of yours, which are kept: {', '.join(map(str, paths))}"
        for unit, paths in drop_ins(host, units).items()
    )


def _folders_of(names: Mapping[str, str]) -> Mapping[str, list[str]]:
    """Return for each name of a folder of drop-ins the units that it is about; *names* are those of their files."""
    found: dict[str, list[str]] = {}
    for unit, name in names.items():
        for folder in _beginnings(name):
            found.setdefault(folder, []).append(unit)
    return found


def _beginnings(name: str) -> tuple[str, ...]:
    """Return the names of the folders of drop-ins of unit or quadlet *name*: ``a-b.service.d``, ``a-.service.d``."""
    stem, dot, suffix = name.rpartition(".")
    parts = stem.split("-")
    shorter = ("-".join(parts[:count]) + "-" for count in range(1, len(parts)))
    return tuple(f"{item}{dot}{suffix}.d" for item in (stem, *shorter))
