"""How podman's quadlet and systemd read what the encoders write: their rules, written down a second time.

Quadlet's readers follow podman's pkg/systemd/parser; systemd's follow systemd.syntax(7) and systemd.service(5). They
raise ``ValueError`` where the real reader would drop a line or expand something.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WHITESPACE = " \t\n\r"
_ESCAPES = dict(zip("abfnrtv\\\"'s", "\a\b\f\n\r\t\v\\\"' ", strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a line; *written* is how it stood there."""

    text: str
    written: str


def split(line: str, *, escapes: bool) -> list[Word]:
    """Split *line* at white space and remove quotes. With *escapes*, backslashes are undone as in C."""
    words: list[Word] = []
    position = 0
    while position < len(line):
        if line[position] in WHITESPACE:
            position += 1
            continue
        start, text, quote = position, "", ""
        while position < len(line) and (quote or line[position] not in WHITESPACE):
            character = line[position]
            if character == "\\" and escapes:
                unescaped, length = _unescape(line[position + 1 :])
                text, position = text + unescaped, position + 1 + length
            elif character == quote:
                quote, position = "", position + 1
            elif not quote and character in "\"'":
                quote, position = character, position + 1
            else:
                text, position = text + character, position + 1
        if quote:
            raise ValueError(f"unbalanced quotes: {line}")
        words.append(Word(text=text, written=line[start:position]))
    return words


def _unescape(rest: str) -> tuple[str, int]:
    if rest[:1] in _ESCAPES and rest:
        return _ESCAPES[rest[0]], 1
    match = re.match(r"x([0-9a-fA-F]{2})", rest)
    if match is None:
        raise ValueError(f"unsupported escape: \\{rest[:3]}")
    return chr(int(match[1], 16)), 3


def logical_line(text: str) -> str:
    """The value of the one ``Key=value`` line *text* as quadlet's parser of files has it."""
    line = text.strip()
    if "\n" in text or line.endswith("\\"):
        raise ValueError(f"more than one line, or continued: {text!r}")
    return line.partition("=")[2].lstrip()


def lookup(value: str, *, strips_all_quotes: bool) -> str:
    """Quadlet's ``Lookup``; before podman 5.8.2 it strips every double quote at either end, later one pair."""
    value = value.rstrip()
    if strips_all_quotes:
        return value.strip('"')
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def lookup_strv(value: str) -> list[str]:
    """Quadlet's ``LookupAllStrv``, of one line."""
    return _until_empty(split(value, escapes=False))


def lookup_args(value: str) -> list[str]:
    """Quadlet's ``LookupLastArgs`` and ``LookupAllArgs``, of one line."""
    return _until_empty(split(value, escapes=True))


def _until_empty(words: list[Word]) -> list[str]:
    texts = [word.text for word in words]
    return texts[: texts.index("")] if "" in texts else texts


def expand_specifiers(text: str) -> str:
    """Undo systemd's ``%%``."""
    if re.search(r"%(?!%)", text.replace("%%", "")):
        raise ValueError(f"systemd would expand a specifier: {text}")
    return text.replace("%%", "%")


def expand_variables(text: str) -> str:
    """Undo the ``$$`` of commands."""
    if "$" in text.replace("$$", ""):
        raise ValueError(f"systemd would expand a variable: {text}")
    return text.replace("$$", "$")


def expand(text: str) -> str:
    """What reaches the program of a word in a command."""
    return expand_variables(expand_specifiers(text))


def command(line: str) -> list[str]:
    """The argv that systemd runs for the ``ExecStart=`` value *line*."""
    words = split(line, escapes=True)
    if any(word.written == ";" for word in words):
        raise ValueError(f"more than one command: {line}")
    return [expand(word.text) for word in words]
