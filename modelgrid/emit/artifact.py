"""One emitted file."""

from __future__ import annotations

from dataclasses import dataclass

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
