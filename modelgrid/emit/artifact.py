"""One emitted file, and the list of checksums that stands beside all of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

#: Name of the list of checksums in a tree.
SUMS = "SHA256SUMS"

#: Folders of a compiled tree, and so of a generation.
QUADLETS = "quadlets"
UNITS = "units"


class TracedText(str):
    """Text of a file that knows which parts of the configuration its lines come from.

    *origins* has pairs of a line, from 1, and a path such as ``$.models.qwen.context``, in the order of the lines.
    The text is equal to the same text without them, and is written without them.
    """

    __slots__ = ("origins",)

    origins: tuple[tuple[int, str], ...]

    def __new__(cls, text: str, origins: tuple[tuple[int, str], ...]) -> Self:
        """Attach *origins* to *text*."""
        made = super().__new__(cls, text)
        made.origins = origins
        return made


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Artifact:
    """A file of the compiled tree.

    Attributes:
        path: below the tree, with ``/``: ``quadlets/modelgrid-model-x.container``,
            ``units/modelgrid-gateway.service``, ``routing.json``, ``placement.json``, ``settings.json``, ``keys.json``.
        content: the whole text; written as UTF-8 with ``\\n`` line ends.
        mode: permission bits.
    """

    path: str
    content: str
    mode: int = 0o644

    @property
    def origins(self) -> tuple[tuple[int, str], ...]:
        """Lines of the content and the parts of the configuration that they come from; none in a tree read back."""
        return self.content.origins if isinstance(self.content, TracedText) else ()


def checksums(contents: Mapping[str, bytes]) -> str:
    """List the SHA-256 of each of *contents* by its path, sorted, in the form of sha256sum(1)."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in sorted(contents.items()))


def read_checksums(text: str) -> dict[str, str]:
    """Return path and SHA-256 of each line of *text*; a line of another form is left out."""
    pairs = (line.partition("  ") for line in text.splitlines())
    return {path: digest for digest, _, path in pairs if path}
