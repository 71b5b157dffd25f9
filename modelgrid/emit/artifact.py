"""One emitted file, and the list of checksums that stands beside all of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name of the list of checksums in a tree.
SUMS = "SHA256SUMS"

#: Folders of a compiled tree, and so of a generation.
QUADLETS = "quadlets"
UNITS = "units"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Artifact:
    """A file of the compiled tree.

    Attributes:
        path: below the tree, with ``/``: ``quadlets/modelgrid-model-x.container``,
            ``units/modelgrid-gateway.service``, ``routing.json``, ``keys.json``.
        content: the whole text; written as UTF-8 with ``\\n`` line ends.
        mode: permission bits.
    """

    path: str
    content: str
    mode: int = 0o644


def checksums(contents: Mapping[str, bytes]) -> str:
    """List the SHA-256 of each of *contents* by its path, sorted, in the form of sha256sum(1)."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in sorted(contents.items()))


def read_checksums(text: str) -> dict[str, str]:
    """Return path and SHA-256 of each line of *text*; a line of another form is left out."""
    pairs = (line.partition("  ") for line in text.splitlines())
    return {path: digest for digest, _, path in pairs if path}
