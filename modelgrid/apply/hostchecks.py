"""What a host must be before anything is written to it. Reads only; each fault is one sentence with its way out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.files import Kind, walk
from modelgrid.apply.links import MASK, links_of
from modelgrid.apply.process import NOT_FOUND
from modelgrid.apply.units import units_of
from modelgrid.emit.artifact import QUADLETS
from modelgrid.emit.names import TARGET
from modelgrid.emit.podman_keys import has_quadlet
from modelgrid.errors import HostError
from modelgrid.host.facts import version_numbers
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelgrid.apply.files import FileSystem
    from modelgrid.apply.host import Host
    from modelgrid.emit.artifact import Artifact

#: Since this version podman's generator follows a link to a folder of quadlets reliably (containers/podman#23755).
PODMAN_FLOOR = (5, 3)

#: File systems that do not keep the promises of rename(2), fsync(2) and flock(2), or do not outlive a reboot.
_UNSAFE = re.compile(r"nfs4?|9p|fuse(?:blk|\..+)?|overlay|cifs|smb3|virtiofs")


def check_host(host: Host, *, containers: bool, writing: bool = True) -> None:
    """Check that *host* can take a tree, one with *containers* or not; without *writing*, that it can be planned.

    Containers are those of podman; what Docker needs, compiling has asked for.

    Raises:
        HostError: it cannot: no systemd, no or an old podman, a read-only or unsafe file system, missing rights.
    """
    _check_system(host)
    if writing:
        _check_rights(host)
        _check_file_system(host)
    if containers:
        _check_podman(host)
    # before anything is written: whether systemd can be talked to
    host.systemd.states([TARGET])


def has_containers(artifacts: Iterable[Artifact]) -> bool:
    """Say whether podman is needed for *artifacts*."""
    return any(item.path.startswith(f"{QUADLETS}/") for item in artifacts)


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
    kind = _file_system_type(files, files.resolve(existing))
    if _UNSAFE.fullmatch(kind):
        raise HostError(
            f"{existing} is on {kind}, which does not keep files safe in a crash",
            hint="apply needs a local file system such as ext4, XFS or btrfs there",
        )


def _check_podman(host: Host) -> None:
    needed = ".".join(str(part) for part in PODMAN_FLOOR)
    done = host.processes.run("podman", "--version")
    if done.returncode == NOT_FOUND:
        raise HostError(
            f"podman is not installed, and models with runtime: podman need it in version {needed} or newer",
            hint="install podman, or use runtime: native",
        )
    version = version_numbers(done.stdout)
    if version is None:
        raise HostError("podman does not tell its version", hint="run podman --version to see what is wrong with it")
    # without a generator it makes containers by plain services, which need nothing newer
    if has_quadlet(version) and version < PODMAN_FLOOR:
        found = ".".join(str(part) for part in version)
        raise HostError(
            f"podman {found} is too old: apply needs {needed} or newer for its quadlets",
            hint="upgrade podman (Debian 13, Fedora 41 and Ubuntu 25.04 have it), or use runtime: native",
        )


def check_tree(host: Host, tree: Sequence[Artifact]) -> None:
    """Check that *tree* has its place on *host*, and the images that nobody pulls.

    Raises:
        HostError: a file of another is in the way, or a local image is missing; each is named.
    """
    units = units_of(tree)
    quadlets = [unit.artifact.path.rpartition("/")[2] for unit in units.values() if not unit.plain]
    check_conflicts(host, links=links_of(tree, host.layout), units=units, quadlets=quadlets)
    pulled = {unit.image for unit in units.values()}
    images = {image for unit in units.values() if (image := unit.value("Container", "Image"))} - pulled
    for image in sorted(image for image in images if not image.endswith(".image")):
        if host.processes.run("podman", "image", "exists", image).returncode == 1:
            raise HostError(
                f"podman has no image {image}, and nobody can pull a local one",
                hint="build or load it first; `podman images` lists what is there",
            )


def check_conflicts(host: Host, *, links: Iterable[Path], units: Iterable[str], quadlets: Iterable[str]) -> None:
    """Check that no file of another is where one of ours must be, or would take its place.

    *links* are the places of our links, *units* the names of all units, generated ones included, *quadlets* the names
    of quadlet files.

    Raises:
        HostError: there are such files; it names each.
    """
    files, layout = host.files, host.layout
    # a file in systemd's own folder wins over the unit that a generator makes
    places = {*links, *(layout.unit_link(unit) for unit in units)}
    found = {path for path in places if files.kind(path) is not None and not _ours_or_mask(host, path)}
    names = set(quadlets)
    for folder in layout.quadlet_folders:
        # our own folder is a link there, so the walk does not go into it
        found |= {folder / inner for inner in walk(files, folder) if inner.rpartition("/")[2] in names}
    for path, kind in ((layout.generations, Kind.FOLDER), (layout.state, Kind.FOLDER), (layout.current, Kind.LINK)):
        if files.kind(path) not in {None, kind}:
            found.add(path)
    if found:
        listed = ", ".join(str(path) for path in sorted(found))
        raise HostError(
            f"in the way, and not made by ModelGrid: {listed}", hint="move it away or remove it, then apply again"
        )


def _ours_or_mask(host: Host, path: Path) -> bool:
    target = host.files.readlink(path)
    # a mask is the administrator's word about our unit, and no file in its way
    return target is not None and (host.layout.owns(target) or target == MASK)


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


def _file_system_type(files: FileSystem, path: Path) -> str:
    """Return the type of the file system that *path* is on, from /proc/self/mountinfo (proc(5)); empty if unknown."""
    try:
        text = files.read(Path("/proc/self/mountinfo")).decode(errors="replace")
    except OSError:
        return ""
    best, kind = Path(), ""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        _, _, _, _, mounted, *_ = [*before.split(" "), "", "", "", "", ""]
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), mounted))
        # of two mounts on one point, the later line is the one that is seen
        if mounted and path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, after.split(" ")[0]
    return kind
