"""What a host must be before anything is written to it. Reads only; each fault is one sentence with its way out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.planning.units import units_of
from modelgrid.apply.process import NOT_FOUND
from modelgrid.apply.store.files import Kind, file_system_type, walk
from modelgrid.apply.store.links import MASK, links_of
from modelgrid.emit.names import TARGET
from modelgrid.emit.podman_keys import FIRST, LINKED_FOLDERS
from modelgrid.errors import HostError
from modelgrid.host.facts import version_numbers
from modelgrid.ir import Manager, Scope

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.store.files import FileSystem
    from modelgrid.emit.artifact import Artifact
    from modelgrid.emit.podman_keys import Version

#: The first podman whose options the plain services have (podman-rm(1), --time).
PODMAN_FLOOR = (4, 0)

#: File systems that do not keep the promises of rename(2), fsync(2) and flock(2), or do not outlive a reboot.
_UNSAFE = re.compile(r"nfs4?|9p|fuse(?:blk|\..+)?|overlay|cifs|smb3|virtiofs")


def check_host(host: Host, *, managers: Collection[Manager] = (), writing: bool = True) -> None:
    """Check that *host* can take a tree whose containers *managers* make; without *writing*, that it can be planned.

    Raises:
        HostError: it cannot: no systemd, no or an old podman, no Docker that answers, a read-only or unsafe file
            system, missing rights.
    """
    _check_system(host)
    if writing:
        _check_rights(host)
        _check_file_system(host)
    if Manager.QUADLET in managers:
        _check_podman(host, FIRST)
    elif Manager.PODMAN in managers:
        _check_podman(host, PODMAN_FLOOR)
    if Manager.DOCKER in managers:
        _check_docker(host, writing=writing)
    # before anything is written: whether systemd can be talked to
    host.systemd.states([TARGET])


def managers_of(artifacts: Iterable[Artifact]) -> frozenset[Manager]:
    """Return who makes containers, networks and images of *artifacts*."""
    return frozenset(manager for unit in units_of(artifacts).values() if (manager := unit.manager) is not None)


def settled(host: Host) -> Host:
    """Return *host* with its links for quadlets as its podman's generator finds them; without podman, as a new one."""
    version = version_numbers(host.processes.run("podman", "--version").stdout)
    linked = version is None or version >= LINKED_FOLDERS
    return replace(host, layout=replace(host.layout, linked_folder=linked))


def _check_system(host: Host) -> None:
    files, layout = host.files, host.layout
    if _os_release_id(files) == "nixos" or files.resolve(Path("/etc/systemd/system")).is_relative_to("/nix/store"):
        raise HostError(
            "NixOS builds /etc itself, so apply cannot write units there",
            hint="run modelgrid compile -o DIR, and take the units from there into the system's configuration",
        )
    if files.kind(Path("/run/systemd/system")) is not Kind.FOLDER:
        raise HostError(
            "this host was not booted with systemd (/run/systemd/system is missing)",
            hint="modelgrid up runs a grid in the foreground without it",
        )
    if layout.scope is Scope.USER and files.kind(Path(f"/run/user/{host.user}/systemd")) is not Kind.FOLDER:
        raise HostError(
            f"no systemd of user {host.user} is running (/run/user/{host.user}/systemd is missing)",
            hint="log in on the host itself or by ssh, and run: loginctl enable-linger",
        )


def _check_rights(host: Host) -> None:
    if host.layout.scope is Scope.SYSTEM and host.user != 0:
        raise HostError("apply changes the system's units and must be run as root", hint="use sudo, or --user")


def _check_file_system(host: Host) -> None:
    files, layout = host.files, host.layout
    for path in (layout.base, layout.quadlet_link.parent, layout.unit_folder):
        existing = _existing(files, path)
        if not files.writable(existing):
            raise HostError(
                f"{existing} cannot be written to (a read-only file system?)",
                hint="on an image-based host, run modelgrid compile -o DIR and put the tree into the image",
            )
    existing = _existing(files, layout.base)
    kind = file_system_type(files, files.resolve(existing))
    if _UNSAFE.fullmatch(kind):
        raise HostError(
            f"{existing} is on {kind}, which does not keep files safe in a crash",
            hint="apply needs a local file system such as ext4, XFS or btrfs there",
        )


def _check_podman(host: Host, floor: Version) -> None:
    needed = ".".join(str(part) for part in floor)
    done = host.processes.run("podman", "--version")
    if done.returncode == NOT_FOUND:
        raise HostError(
            f"podman is not installed, and models with runtime: podman need it in version {needed} or newer",
            hint="install podman, or use runtime: native",
        )
    version = version_numbers(done.stdout)
    if version is None:
        raise HostError("podman does not tell its version", hint="run podman --version to see what is wrong with it")
    if version < floor:
        found = ".".join(str(part) for part in version)
        raise HostError(
            f"podman {found} is too old: these units need {needed} or newer",
            hint="apply the configuration anew, which makes units for it; or upgrade podman, or use runtime: native",
        )


def _check_docker(host: Host, *, writing: bool) -> None:
    done = host.processes.run("docker", "version", "--format", "{{.Server.Version}}")
    if done.returncode == NOT_FOUND:
        raise HostError(
            "Docker is not installed, and models with runtime: docker need it",
            hint="install docker, or use runtime: podman or native",
        )
    # a plan needs no rights, and so may not be let to ask
    if done.returncode != 0 and (writing or "permission denied" not in done.stderr):
        reason = done.stderr.strip().rpartition("\n")[2]
        raise HostError(f"Docker does not answer: {reason}", hint="start it: systemctl enable --now docker")


def has_image(host: Host, program: str, image: str) -> bool:
    """Say whether *program*, podman or docker, has *image*; also true where it does not tell."""
    if program == "podman":
        return host.processes.run("podman", "image", "exists", image).returncode != 1
    done = host.processes.run("docker", "image", "inspect", "--format", "{{.Id}}", image)
    return "No such image" not in done.stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """Files, links and folders of others that are in the way, sorted.

    *adoptable* can be taken over; *fixed* cannot: they are on another file system, or where what is ours alone must be.
    """

    adoptable: tuple[Path, ...] = ()
    fixed: tuple[Path, ...] = ()


def find_conflicts(host: Host, tree: Sequence[Artifact]) -> Conflicts:
    """Find what is where something of *tree* must be, or would take its place, and is of another."""
    files, layout = host.files, host.layout
    units = units_of(tree)
    # a file in systemd's own folder wins over the unit that a generator makes
    places = {*links_of(tree, layout), *(layout.unit_link(unit) for unit in units)}
    found = {path for path in places if files.kind(path) is not None and not _ours_or_mask(host, path)}
    names = {unit.artifact.path.rpartition("/")[2] for unit in units.values() if not unit.plain}
    for folder in layout.quadlet_folders:
        # our own folder is a link there, so the walk does not go into it
        same = (folder / inner for inner in walk(files, folder) if inner.rpartition("/")[2] in names)
        found |= {path for path in same if not _ours(host, path)}
    # what is in a folder that is in the way goes with it
    found -= {path for path in found if found & set(path.parents)}
    own = {path for path in layout.recovery_links if files.kind(path) is not None and not _ours_or_mask(host, path)}
    own |= {
        path
        for path, kind in ((layout.generations, Kind.FOLDER), (layout.state, Kind.FOLDER), (layout.current, Kind.LINK))
        if files.kind(path) not in {None, kind}
    }
    here = files.device(_existing(files, layout.base)) if found else 0
    away = {path for path in found if files.device(path) != here}
    return Conflicts(adoptable=tuple(sorted(found - away)), fixed=tuple(sorted(own | away)))


def _ours(host: Host, path: Path) -> bool:
    target = host.files.readlink(path)
    return target is not None and host.layout.owns(target)


def _ours_or_mask(host: Host, path: Path) -> bool:
    # a mask is the administrator's word about our unit, and no file in its way
    return _ours(host, path) or host.files.readlink(path) == MASK


def _os_release_id(files: FileSystem) -> str:
    try:
        text = files.read(Path("/etc/os-release")).decode(errors="replace")
    except OSError:
        return ""
    match = re.search(r"^ID=[\"']?([^\"'\n]*)", text, re.MULTILINE)
    return match[1] if match else ""


def _existing(files: FileSystem, path: Path) -> Path:
    """Return *path*, or the nearest folder above it that is there."""
    while files.kind(path) is None:
        path = path.parent
    return path
