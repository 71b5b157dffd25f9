"""The links by which systemd and podman's generator find the current generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.planning.units import units_of
from modelgrid.apply.store.files import FileSystem, Kind, make_folder, replace_link, sync_folder
from modelgrid.emit.names import TARGET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from modelgrid.apply.store.layout import Layout
    from modelgrid.emit.artifact import Artifact

MASK = "/dev/null"


def links_of(artifacts: Iterable[Artifact], layout: Layout) -> Mapping[Path, str]:
    """Return the links that a tree needs, and what each points to, whichever generation is current.

    A plain unit is linked by its name, and into the ``.wants`` folder of each unit that its ``[Install]`` names, but
    for the boot target: that link is made once, so that it can be taken away for good (:meth:`Layout.wants_link`).
    """
    links: dict[Path, str] = {}
    for unit in units_of(artifacts).values():
        if not unit.plain:
            file = unit.artifact.path.rpartition("/")[2]
            if layout.linked_folder:
                links[layout.quadlet_link] = str(layout.quadlet_target)
            else:
                links[layout.quadlet_folder / file] = str(layout.quadlet_target / file)
            continue
        target = str(layout.unit_target(unit.name))
        links[layout.unit_link(unit.name)] = target
        for wanting in unit.words("Install", "WantedBy") - {layout.boot_target}:
            links[layout.unit_folder / f"{wanting}.wants" / unit.name] = target
    return links


def missing_links(files: FileSystem, links: Mapping[Path, str]) -> Mapping[Path, str]:
    """Return those of *links* that are not on the host as they should be. A masked name stays masked."""
    return {path: target for path, target in sorted(links.items()) if files.readlink(path) not in {target, MASK}}


def make_links(files: FileSystem, layout: Layout, links: Mapping[Path, str]) -> None:
    """Make what is missing of *links*. Until the generation that they lead to is current, they lead nowhere.

    What is in the place of one and is no link of ours stays as it is: a change takes it over before, and one that goes
    back must not lose it.
    """
    folders = set()
    for path, target in missing_links(files, links).items():
        make_folder(files, path.parent)
        found = files.readlink(path)
        if files.kind(path) is None:
            files.symlink(target, path)
            folders.add(path.parent)
        elif found is not None and layout.owns(found):
            replace_link(files, path, target)
    for folder in sorted(folders):
        sync_folder(files, folder)


def owned_links(files: FileSystem, layout: Layout) -> tuple[Path, ...]:
    """Return every link on the host that points into our folder, where ours can be.

    A link that makes another unit want our target is among them, whoever made it (``systemctl enable``): it says
    nothing but that.
    """
    wants = [layout.unit_folder / name for name in files.listdir(layout.unit_folder) if name.endswith(".wants")]
    places = (layout.quadlet_folder, layout.unit_folder, *wants)
    found = [place / name for place in places for name in files.listdir(place)]
    targets = {path: target for path in found if (target := files.readlink(path)) is not None}
    return tuple(
        path
        for path, target in targets.items()
        if layout.owns(target) or (path.name == TARGET and path.parent != layout.unit_folder)
    )


def stale_links(
    files: FileSystem, layout: Layout, links: Mapping[Path, str], *, applied: bool = True
) -> tuple[Path, ...]:
    """Return our links on the host that are none of *links*; without *applied*, the one for the boot among them.

    Those of the recovery unit are not: they stay until no change is under way.
    """
    kept = {*links, *layout.recovery_links, *((layout.wants_link,) if applied else ())}
    return tuple(path for path in owned_links(files, layout) if path not in kept)


def remove_links(files: FileSystem, layout: Layout, links: Iterable[Path]) -> None:
    """Remove *links*, all of them ours."""
    folders = set()
    for path in links:
        files.unlink(path)
        folders.add(path.parent)
    for target in (TARGET, "basic.target"):
        # as systemctl(1) does
        wants = layout.unit_folder / f"{target}.wants"
        if files.kind(wants) is Kind.FOLDER and not files.listdir(wants):
            files.rmdir(wants)
            folders = (folders - {wants}) | {layout.unit_folder}
    for folder in sorted(folders):
        sync_folder(files, folder)
