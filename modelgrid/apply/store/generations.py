"""Generations: immutable folders of applied artifacts, and the one link that says which is current."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelgrid import __version__
from modelgrid.apply.store.files import (
    FileSystem,
    Kind,
    file_system_type,
    make_folder,
    remove_name,
    remove_tree,
    replace_link,
    spare_name,
    sync_file_system,
    sync_folder,
    walk,
    write_new,
)
from modelgrid.emit.artifact import QUADLETS, SUMS, UNITS, Artifact, checksums, read_checksums
from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from modelgrid.apply.store.layout import Layout

#: How many generations stay when new ones come.
KEEP = 10

INFO = "generation.json"
GENERATION_VERSION = 1

_NUMBER = re.compile(r"[1-9][0-9]*\Z")
#: Written while a generation is made, and while one is removed: never a generation, whatever is in it.
_UNFINISHED = re.compile(r"\.(?:tmp|old)-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One generation on the host.

    Attributes:
        created: when it was made, in RFC 3339 with UTC; for people, nothing is ordered by it.
        parent: the generation that it took over from, which ``rollback`` goes back to; none for the first.
        current: whether the host runs it.
        images_left: images that generations before it pulled, and it does not.
    """

    number: int
    created: str
    parent: int | None
    modelgrid: str
    current: bool
    images_left: tuple[str, ...] = ()


class Fault(Enum):
    """What may be wrong with a file of a generation, as a clause."""

    MISSING = "is missing"
    UNKNOWN = "is not of this generation"
    ALTERED = "was altered"
    #: This process may not read it, so it cannot tell.
    UNREADABLE = "cannot be read"


class Generations:
    """The generations of one layout. Methods that write are for the holder of the lock."""

    def __init__(self, files: FileSystem, layout: Layout) -> None:
        self._files = files
        self._layout = layout

    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of all generations, in order."""
        names = self._files.listdir(self._layout.generations)
        return tuple(sorted(int(name) for name in names if _NUMBER.match(name)))

    def current(self) -> int | None:
        """Return the number that the current link names; none where nothing was applied.

        Raises:
            HostError: the name is taken by something that ModelGrid did not put there.
        """
        path = self._layout.current
        kind = self._files.kind(path)
        if kind is None:
            return None
        target = self._files.readlink(path) or ""
        number = target.removeprefix("generations/")
        if kind is not Kind.LINK or not _NUMBER.match(number):
            raise HostError(f"{path} is not a link to a generation of ModelGrid", hint="move it away, then apply again")
        return int(number)

    def list(self) -> tuple[Generation, ...]:
        """Return every generation, in order of number. What cannot be read of one is left empty."""
        current = self.current()
        return tuple(self._generation(number, current) for number in self.numbers())

    def parent(self, number: int) -> int | None:
        """Return the generation that *number* took over from."""
        return self._generation(number, None).parent

    def read(self, number: int, *, known: Iterable[Artifact] = ()) -> tuple[Artifact, ...]:
        """Return the artifacts of generation *number* as they are on the disk, sorted by path.

        A file that the caller may not read is taken from *known* where that has the recorded hash, and is
        empty otherwise: so a plan without root's rights sees whether the keys change.
        """
        folder = self._layout.generation(number)
        substitutes = {item.path: item for item in known}
        artifacts = []
        for path, recorded in sorted(self._sums(number).items()):
            if path == INFO or self._files.kind(folder / path) is not Kind.FILE:
                continue
            try:
                content = self._files.read(folder / path)
            except PermissionError:
                substitute = substitutes.get(path)
                content = substitute.content.encode() if substitute else b""
                content = content if _sha256(content) == recorded else b""
            mode = self._files.permissions(folder / path)
            artifacts.append(Artifact(path=path, content=content.decode(errors="replace"), mode=mode))
        return tuple(artifacts)

    def problems(self, number: int) -> tuple[str, ...]:
        """Return what is wrong with generation *number*, one sentence each: a file is missing, altered or unknown.

        None of that can come from a crash, for a generation gets its name when all of it is on the disk.
        """
        folder = self._layout.generation(number)
        return tuple(f"{folder / path} {fault.value}" for path, fault in self.faults(number).items())

    def faults(self, number: int) -> Mapping[str, Fault]:
        """Return what is wrong with each file of generation *number*, by its path in it: the missing ones first."""
        folder = self._layout.generation(number)
        if self._files.kind(folder / SUMS) is not Kind.FILE:
            return {SUMS: Fault.MISSING}
        sums = self._sums(number)
        found = set(walk(self._files, folder)) - {SUMS}
        faults = dict.fromkeys(sorted(sums.keys() - found), Fault.MISSING)
        faults |= dict.fromkeys(sorted(found - sums.keys()), Fault.UNKNOWN)
        for path in sorted(found & sums.keys()):
            try:
                whole = self._files.kind(folder / path) is Kind.FILE and (
                    _sha256(self._files.read(folder / path)) == sums[path]
                )
            except PermissionError:
                faults[path] = Fault.UNREADABLE
                continue
            if not whole:
                faults[path] = Fault.ALTERED
        return faults

    def write(
        self,
        artifacts: Sequence[Artifact],
        *,
        parent: int | None,
        created: datetime,
        images_left: Sequence[str] = (),
    ) -> int:
        """Write a new generation beside the others and return its number. Nothing uses it yet.

        *parent* is the generation that it takes over from, *images_left* what it remembers of those before. It is
        complete on the disk before it has its name, so there is no half generation under a number.
        """
        number = max(self.numbers(), default=0) + 1
        folder = self._layout.generations / f".tmp-{number}"
        self._files.mkdir(folder)
        folders = {folder / QUADLETS, folder / UNITS, *((folder / item.path).parent for item in artifacts)}
        for inner in sorted(folders - {folder}):
            self._files.mkdir(inner)
        contents = {item.path: (item.content.encode(), item.mode) for item in artifacts}
        contents[INFO] = (self._info(number, parent, created, images_left), 0o644)
        for path, (content, mode) in sorted(contents.items()):
            write_new(self._files, folder / path, content, mode)
        sums = checksums({path: content for path, (content, _) in contents.items()})
        write_new(self._files, folder / SUMS, sums.encode(), 0o644)
        for inner in sorted(folders | {folder}, reverse=True):
            sync_folder(self._files, inner)
        # rename(2) would replace an empty folder only, and a generation is never empty
        self._files.rename(folder, self._layout.generation(number))
        sync_folder(self._files, self._layout.generations)
        return number

    def switch(self, number: int | None) -> None:
        """Make *number* current, in one step; with none, no generation is.

        btrfs forgets the rename of a link whose folder was synced when the link was new, though the folder is synced
        again (seen on Linux 6.1 by scripts/powercut): there nothing less than the whole file system is synced.
        """
        base = self._layout.base
        whole = file_system_type(self._files, self._files.resolve(base)) == "btrfs"
        if whole:
            sync_file_system(self._files, base)
        if number is None:
            remove_name(self._files, self._layout.current)
        else:
            replace_link(self._files, self._layout.current, f"generations/{number}")
        if whole:
            sync_file_system(self._files, base)

    def remove(self, number: int) -> None:
        """Remove generation *number*: it loses its name first, so a crash leaves no half generation."""
        old = self._layout.generations / f".old-{number}"
        self._files.rename(self._layout.generation(number), old)
        sync_folder(self._files, self._layout.generations)
        remove_tree(self._files, old)

    def clean(self) -> None:
        """Remove what a killed process left unfinished, here and beside the records. No generation is among it."""
        layout = self._layout
        for path in (layout.current, layout.pending, layout.confirmed, layout.lineage):
            if self._files.kind(spare_name(path)) is not None:
                self._files.unlink(spare_name(path))
        for name in self._files.listdir(self._layout.generations):
            if _UNFINISHED.match(name):
                remove_tree(self._files, self._layout.generations / name)

    def make_folders(self) -> None:
        """Make the folders that generations and records live in."""
        make_folder(self._files, self._layout.generations)
        make_folder(self._files, self._layout.state)

    def _sums(self, number: int) -> dict[str, str]:
        """Read SHA256SUMS, in the form of sha256sum(1); a line that is none is left out, and its file so unknown."""
        try:
            text = self._files.read(self._layout.generation(number) / SUMS).decode(errors="replace")
        except FileNotFoundError:
            return {}
        found = read_checksums(text)
        return {path: digest for path, digest in found.items() if ".." not in PurePosixPath(path).parts}

    def _info(self, number: int, parent: int | None, created: datetime, images_left: Sequence[str]) -> bytes:
        return _json(
            {
                "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "generation_version": GENERATION_VERSION,
                "images_left": list(images_left),
                "modelgrid": __version__,
                "number": number,
                "parent": parent,
            }
        )

    def _generation(self, number: int, current: int | None) -> Generation:
        try:
            data = json.loads(self._files.read(self._layout.generation(number) / INFO))
        except (OSError, ValueError):
            data = None
        info = data if isinstance(data, dict) else {}
        parent, images = info.get("parent"), info.get("images_left")
        return Generation(
            number=number,
            created=str(info.get("created", "")),
            parent=parent if isinstance(parent, int) else None,
            modelgrid=str(info.get("modelgrid", "")),
            current=number == current,
            images_left=tuple(map(str, images)) if isinstance(images, list) else (),
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
