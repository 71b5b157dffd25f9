"""Splits a line into words, as quadlet and systemd do: what the encoders of :mod:`modelgrid.emit.quoting` wrote."""

from __future__ import annotations

import re

_SPACE = " \t\n\r"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_HEX = re.compile(r"x([0-9a-fA-F]{2})")


def split_words(line: str, *, escapes: bool) -> list[str]:
    """Return the words of *line* without their quotes; with *escapes*, backslashes are undone as in C.

    Specifiers and variables stay as they are written.

    Raises:
        ValueError: a quote is not closed, or an escape is none that both readers know.
    """
    words: list[str] = []
    position = 0
    while position < len(line):
        if line[position] in _SPACE:
            position += 1
            continue
        word, position = _word(line, position, escapes=escapes)
        words.append(word)
    return words


def _word(line: str, position: int, *, escapes: bool) -> tuple[str, int]:
    text, quote = "", ""
    while position < len(line) and (quote or line[position] not in _SPACE):
        character = line[position]
        position += 1
        if character == "\\" and escapes:
            unescaped, length = _unescape(line, position)
            text, position = text + unescaped, position + length
        elif character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        else:
            text += character
    if quote:
        raise ValueError(f"a quote is not closed: {line}")
    return text, position


def _unescape(line: str, position: int) -> tuple[str, int]:
    character = line[position : position + 1]
    if character and character in "\\\"'":
        return character, 1
    if character in _ESCAPES:
        return _ESCAPES[character], 1
    if match := _HEX.match(line, position):
        return chr(int(match[1], 16)), 3
    raise ValueError(f"an escape is not known: {line}")
