"""An archive to unpack over ``/`` of a host or of an image: plain files, and the links of ``systemctl enable``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.forms import places
from modelgrid.forms.archive import File, Link, write_archive
from modelgrid.forms.output import Output, OutputFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelgrid.emit.artifact import Artifact

ARCHIVE = "modelgrid.tar"


def convert(artifacts: Iterable[Artifact]) -> Output:
    """Return the archive. It holds the keys, and then it is as private as they are.

    Raises:
        InternalError: an artifact is of a kind that no form places.
    """
    parts = places.take_apart(artifacts)
    entries: list[File | Link] = [
        *files(places.QUADLET_FOLDER, parts.quadlets),
        *files(places.UNIT_FOLDER, parts.units),
        *files(places.DATA_FOLDER, parts.data),
    ]
    for unit in parts.units:
        for wanting in places.wanted_by(unit):
            link = f"{places.UNIT_FOLDER}/{wanting}.wants/{unit.path}"
            entries.append(Link(path=link, target=f"/{places.UNIT_FOLDER}/{unit.path}"))
    mode = 0o600 if parts.secret else 0o644
    return Output(files=(OutputFile(path=ARCHIVE, content=write_archive(entries), mode=mode),))


def files(folder: str, artifacts: Iterable[Artifact]) -> list[File]:
    """Return *artifacts* as entries in *folder*."""
    return [File(path=f"{folder}/{item.path}", content=item.content.encode(), mode=item.mode) for item in artifacts]
