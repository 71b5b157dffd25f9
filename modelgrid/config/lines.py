"""The lines of a file, as diagnostics show them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from modelgrid.diagnostics import Location
from modelgrid.redaction import mask, mask_line

if TYPE_CHECKING:
    from collections.abc import Iterator

#: (line, column, line of the end, column of the end), from 0, as PyYAML's marks count.
Span: TypeAlias = tuple[int, int, int, int]

#: The line ends of YAML 1.2. The others of YAML 1.1 are refused before lines are counted.
_LINE_END = re.compile(r"\r\n|\r|\n")

#: What a reviewer cannot see: control characters but tab and line ends, line separators that only YAML 1.1 knows,
#: marks of writing direction (CVE-2021-42574), byte order marks, halves of surrogate pairs.
_HIDDEN = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"


def find_hidden(text: str) -> Iterator[tuple[int, str]]:
    """Yield each character of *text* that cannot be seen: its offset, and its name such as ``U+202E``."""
    if text.replace("\n", "").isprintable():
        return  # nearly every text, without a look at each character, nor a pattern to compile
    for match in re.finditer(_HIDDEN, text):
        yield match.start(), f"U+{ord(match[0]):04X}"


class Lines:
    """Makes Locations in *text*, each with its line; secrets are masked before anything is shown."""

    __slots__ = ("_lines", "_masked", "file", "text")

    def __init__(self, text: str, *, file: str) -> None:
        self.text = text
        self.file = file
        self._lines: list[str] | None = None
        self._masked: dict[int, str] = {}

    def location(self, span: Span) -> Location:
        """Return the place of *span*: of its first line, where it has several."""
        line, column, end_line, end_column = span
        excerpt = self._excerpt(line)
        assert self._lines is not None, "the excerpt comes from them"
        if line >= len(self._lines):
            # the parsers count a last line that has no end as two: what is empty stands behind it
            line = end_line = len(self._lines) - 1
            excerpt = self._excerpt(line)
            column = end_column = len(excerpt)
        end = end_column if end_line == line else len(excerpt.rstrip())
        return Location(file=self.file, line=line + 1, column=column + 1, length=max(1, end - column), excerpt=excerpt)

    def at(self, offset: int) -> Location:
        """Return the place of the character at *offset* of the text."""
        text = self.text
        line = text.count("\n", 0, offset)
        start = text.rfind("\n", 0, offset)
        if "\r" in text:
            line += text.count("\r", 0, offset) - text.count("\r\n", 0, offset)
            start = max(start, text.rfind("\r", 0, offset))
        column = offset - start - 1
        return self.location((line, column, line, column + 1))

    def _excerpt(self, line: int) -> str:
        if line not in self._masked:
            if self._lines is None:
                # masked as a whole first: a private key goes over many lines
                self._lines = _LINE_END.split(mask(self.text))
            self._masked[line] = mask_line(self._lines[line]) if line < len(self._lines) else ""
        return self._masked[line]
