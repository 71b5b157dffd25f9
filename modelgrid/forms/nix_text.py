"""Text as the Nix language has it (the Nix manual, "String literals"; src/libexpr/lexer.l)."""

from __future__ import annotations

import re

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "$": "\\$"}

#: What an indented string may begin with, and have in it: no control characters, and no line of spaces alone.
_INDENTABLE = re.compile(r"(?=[^\s])(?:[^\x00-\x09\x0b-\x1f\x7f]*\n)+\Z")
_BLANK = re.compile(r"^ +$", re.MULTILINE)

#: Two quotes end such a string, ``${`` begins code in it; a quote before either, or at an end, would join with it.
_SPECIAL = re.compile(r"\$(?=\{)|'(?=['$])|(?<=')'")


def string(text: str) -> str:
    """Return *text* in double quotes."""
    return f'"{"".join(_ESCAPES.get(character, character) for character in text)}"'


def block(text: str, *, indent: int) -> str:
    """Return *text* as an indented string with *indent* spaces before each line, where that keeps it.

    Text that it would not keep, with control characters or indented as a whole, comes in double quotes.
    """
    if not _INDENTABLE.match(text) or _BLANK.search(text):
        return string(text)
    escaped = _SPECIAL.sub(lambda found: "''$" if found[0] == "$" else "''\\'", text)
    lines = (f"{' ' * indent}{line}" if line else "" for line in escaped.split("\n")[:-1])
    return "\n".join(["''", *lines, f"{' ' * (indent - 2)}''"])
