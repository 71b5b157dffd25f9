"""Text as YAML (yaml.org/spec/1.2.2, chapters 7.3.1 and 8.1.2), the same to readers of version 1.1."""

from __future__ import annotations

import re

#: Characters that may stand in YAML as they are and end no line to a reader of either version (chapter 5.1).
_PLAIN = re.compile(
    "[\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]*\\Z"
)

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def scalar(text: str) -> str:
    """Return *text* in double quotes, on one line."""
    return f'"{"".join(map(_escaped, text))}"'


def block(text: str, *, indent: int) -> str:
    """Return *text* as a literal block with *indent* spaces before each line, where that keeps it; else as a scalar.

    The line break behind the last line is left out.
    """
    lines = text.split("\n")
    # one line break at the end is what the block has by itself; a space in front would be taken for indentation
    if len(lines) < 2 or lines[-1] or not lines[-2] or not lines[0] or lines[0].startswith(" "):  # noqa: PLR2004  text, and nothing behind its line break
        return scalar(text)
    if not all(map(_PLAIN.match, lines)):
        return scalar(text)
    return "\n".join(["|", *(f"{' ' * indent}{line}" if line else "" for line in lines[:-1])])


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if _PLAIN.match(character):
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004  what four digits can say
