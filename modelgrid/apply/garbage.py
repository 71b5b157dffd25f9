"""What lies on a host for generations that are no more: found and shown, and removed only where that is asked for.

Only what ModelGrid made counts: weights that it unpacked itself, volumes by its prefix, and images that units of it
named. What any generation that stays still mentions is left, and so is what a container uses.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.events import Event, EventKind
from modelgrid.apply.leftovers import pulled_images
from modelgrid.apply.store.files import Kind, locked, make_folder, remove_name
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.records import Records
from modelgrid.apply.store.retention import Retention, expired, held_generations
from modelgrid.apply.teardown import remove_base
from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelgrid.apply.events import OnEvent
    from modelgrid.apply.host import Host

#: What names of volumes begin with that the built-in engines have. Others are the user's.
VOLUME_PREFIX = "modelgrid-"

#: What :mod:`modelgrid.models.weights` writes beside a file that it unpacked.
_UNPACKED = ".verified"

#: Seconds to measure, or to remove, what may be hundreds of gigabytes.
_PATIENCE = 600.0


class GarbageKind(Enum):
    """What it is. In the order of removal."""

    GENERATION = "generation"
    WEIGHTS = "weights"
    VOLUME = "volume"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """Something that may go.

    Attributes:
        name: the number of a generation, the path of weights, the name of a volume or an image.
        size: in bytes; none where it is not known.
        manager: the program that has it: ``podman``, ``docker``; empty for files.
    """

    kind: GarbageKind
    name: str
    size: int | None
    manager: str = ""


def find_garbage(host: Host, *, weights: Path, retention: Retention) -> tuple[Garbage, ...]:
    """Return what may go from *host*, sorted. Reads only. *weights* is the folder of unpacked weights.

    Raises:
        HostError: this user cannot see all of it, or a change was interrupted and may still need it.
    """
    if host.layout.scope is Scope.SYSTEM and host.user != 0:
        raise HostError("root's containers are part of this, which only root sees", hint="use sudo, or --user")
    generations, records = Generations(host.files, host.layout), Records(host.files, host.layout)
    if records.pending() is not None:
        raise HostError(
            "a change is under way, or was interrupted: what it was about may still be needed",
            hint="apply, or roll back, and then try again",
        )
    known = generations.list()
    gone = expired(known, retention, held=held_generations(generations, records), now=host.now())
    trees = {item.number: generations.read(item.number) for item in known}
    kept = "\n".join(
        artifact.content.replace("%%", "%") for number, tree in trees.items() if number not in gone for artifact in tree
    )
    images = {image for item in known for image in item.images_left}
    images |= {image for number in gone for image in pulled_images(trees[number])}
    unnamed = sorted(image for image in images if not _mentions(kept, image))
    found = [
        *(Garbage(kind=GarbageKind.GENERATION, name=str(number), size=None) for number in gone),
        *_weights(host, weights, kept),
    ]
    for manager in _managers(host):
        found += _volumes(host, manager, kept)
        found += _unused_images(host, manager, unnamed)
    return tuple(found)


def collect_garbage(
    host: Host, *, weights: Path, retention: Retention, on_event: OnEvent
) -> tuple[tuple[Garbage, ...], tuple[Garbage, ...]]:
    """Remove what :func:`find_garbage` finds, as the one process that changes *host*; return what went, and what not.

    Raises:
        HostError: as it does, or another process is changing the host, or a file cannot be removed.
    """
    files, layout = host.files, host.layout
    # before anything is made: it may refuse
    if not find_garbage(host, weights=weights, retention=retention):
        return (), ()
    removed: list[Garbage] = []
    left: list[Garbage] = []
    try:
        make_folder(files, layout.base)
        with locked(files, layout.lock):
            for item in find_garbage(host, weights=weights, retention=retention):
                on_event(Event(kind=EventKind.STEP, message=f"removing {item.kind.value} {item.name}"))
                (removed if _remove(host, item, on_event) else left).append(item)
            if not Generations(files, layout).numbers() and files.kind(layout.state) is None:
                remove_base(host)
    except OSError as error:
        raise HostError(f"{error.filename or 'a file'}: {error.strerror or error}") from error
    return tuple(removed), tuple(left)


def _remove(host: Host, item: Garbage, on_event: OnEvent) -> bool:
    match item.kind:
        case GarbageKind.GENERATION:
            Generations(host.files, host.layout).remove(int(item.name))
        case GarbageKind.WEIGHTS:
            path = Path(item.name)
            # what says that it is ours goes last
            remove_name(host.files, path)
            remove_name(host.files, path.with_name(f"{path.name}{_UNPACKED}"))
        case _:
            # not by force: what somebody began to use meanwhile stays
            done = host.processes.run(item.manager, item.kind.value, "rm", item.name, timeout=_PATIENCE)
            if done.returncode != 0:
                said = done.stderr.strip().rpartition("\n")[2]
                message = f"{item.manager} does not remove the {item.kind.value} {item.name}: {said}"
                on_event(Event(kind=EventKind.WARNING, message=message))
                return False
    return True


def _mentions(text: str, name: str) -> bool:
    """Say whether *text* has *name* as a whole: not as the beginning or the end of another."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text) is not None


def _weights(host: Host, folder: Path, kept: str) -> Iterator[Garbage]:
    for name in host.files.listdir(folder):
        path = folder / name.removesuffix(_UNPACKED)
        if name.endswith(_UNPACKED) and host.files.kind(path) is Kind.FILE and not _mentions(kept, path.name):
            yield Garbage(kind=GarbageKind.WEIGHTS, name=str(path), size=host.files.real(path).stat().st_size)


def _managers(host: Host) -> Iterator[str]:
    """Yield the programs that have containers here; a user's Docker is the system's."""
    for manager in ("podman", "docker") if host.layout.scope is Scope.SYSTEM else ("podman",):
        if host.processes.run(manager, "ps", "--quiet").returncode == 0:
            yield manager


def _volumes(host: Host, manager: str, kept: str) -> Iterator[Garbage]:
    listed = host.processes.run(manager, "volume", "ls", "--format", "{{.Name}}").stdout.split()
    for name in sorted(set(listed)):
        if name.startswith(VOLUME_PREFIX) and not _mentions(kept, name) and not _used(host, manager, f"volume={name}"):
            yield Garbage(kind=GarbageKind.VOLUME, name=name, size=_volume_size(host, manager, name), manager=manager)


def _volume_size(host: Host, manager: str, name: str) -> int | None:
    place = host.processes.run(manager, "volume", "inspect", "--format", "{{.Mountpoint}}", name).stdout.strip()
    if not place:
        return None
    # what files of other users it cannot measure, it says, and leaves out
    words = host.processes.run("du", "--summarize", "--block-size=1", place, timeout=_PATIENCE).stdout.split()
    with contextlib.suppress(ValueError):
        return int(words[0]) if words else None
    return None


def _unused_images(host: Host, manager: str, images: Sequence[str]) -> Iterator[Garbage]:
    for image in images:
        found = host.processes.run(manager, "image", "inspect", "--format", "{{.Size}}", image)
        if found.returncode == 0 and not _used(host, manager, f"ancestor={image}"):
            size = found.stdout.strip()
            known = int(size) if size.isdecimal() else None
            yield Garbage(kind=GarbageKind.IMAGE, name=image, size=known, manager=manager)


def _used(host: Host, manager: str, condition: str) -> bool:
    """Say whether a container, running or not, meets *condition*; where that cannot be told, it counts as used."""
    found = host.processes.run(manager, "ps", "--all", "--quiet", "--filter", condition)
    return found.returncode != 0 or bool(found.stdout.strip())
