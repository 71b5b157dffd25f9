"""Reads forms back."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from modelgrid.emit import emit
from modelgrid.forms import convert

if TYPE_CHECKING:
    from modelgrid.emit.artifact import Artifact
    from modelgrid.ir import Deployment


def form(deployment: Deployment, name: str, *, distribution: str = "") -> dict[str, bytes]:
    """The files of a form, by path."""
    output = convert(emit(deployment), name, distribution=distribution)
    return {file.path: file.content for file in output.files}


def contents(artifacts: tuple[Artifact, ...], folder: str) -> dict[str, str]:
    """The artifacts of one folder of the compiled tree, by file name."""
    return {
        item.path.removeprefix(folder): item.content
        for item in artifacts
        if item.path.startswith(folder) and "/" not in item.path.removeprefix(folder)
    }


def read_archive(data: bytes) -> dict[str, str | bytes]:
    """The files (bytes) and links (text) of an archive."""
    found: dict[str, str | bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            if member.issym():
                found[member.name] = member.linkname
            elif not member.isdir():
                file = archive.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
    return found


def listing(data: bytes) -> str:
    """An archive as text that can be reviewed: what it says of each entry, and the whole of each file."""
    lines = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            kind = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link"}.get(member.type, "file")
            owner = f"{member.uname}:{member.gname} {member.uid}:{member.gid}"
            lines.append(
                f"==> {kind} {member.mode:04o} {owner} {member.mtime} {member.name} {member.linkname}".rstrip()
            )
            if kind == "file":
                file = archive.extractfile(member)
                assert file is not None
                lines.append(file.read().decode().rstrip("\n"))
    return "\n".join(lines) + "\n"
