"""How a value is written so that its reader gets that value back: one encoder for each reader of units.

Quadlet reads its own keys in four ways (podman, pkg/systemd/parser/unitfile.go and split.go); which key is read how
is in pkg/systemd/quadlet/quadlet.go. Each of these values ends in an ``Exec`` line of the generated unit, where
systemd expands ``%`` (systemd.unit(5), SPECIFIERS) and ``$`` (systemd.service(5), COMMAND LINES) once more: the
encoders double both. The readers of systemd itself are in :mod:`modelgrid.emit.systemd_quoting`.

An encoder refuses what its reader has no spelling for, by :class:`Unrepresentable`, and never changes a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

_P = ParamSpec("_P")


class UnitText(str):
    """Text as it stands in a unit: an encoder has made it. Templates take nothing else.

    *origins* are the parts of the configuration that it comes from, ``$.models.qwen.context``. Two texts are equal
    without them.
    """

    __slots__ = ("origins",)

    origins: tuple[str, ...]

    def __new__(cls, text: str = "", *, origins: tuple[str, ...] = ()) -> Self:
        """Mark *text* as written by an encoder."""
        made = super().__new__(cls, text)
        made.origins = origins
        return made


@dataclass(frozen=True, slots=True)
class Specifier:
    """A specifier that systemd shall expand, ``%d``: the one thing whose ``%`` is not doubled."""

    text: str


Piece: TypeAlias = str | Specifier
#: Text of whatever origin, or text with specifiers in it.
Value: TypeAlias = Piece | tuple[Piece, ...]


class Unrepresentable(ValueError):  # noqa: N818  it says what the value is
    """*value* cannot be written for its reader. *rule* is a clause that says why.

    *origins* are the parts of the configuration that the value comes from, where :func:`traced` knows them.
    """

    def __init__(self, value: str, rule: str) -> None:
        super().__init__(f"{value!r} {rule}")
        self.value = value
        self.rule = rule
        self.origins: tuple[str, ...] = ()


def traced(
    origins: tuple[str, ...], encoder: Callable[_P, UnitText], /, *args: _P.args, **kwargs: _P.kwargs
) -> UnitText:
    """Return what *encoder* makes of its arguments, with *origins* added: ``traced(paths, lookup, value)``.

    Raises:
        Unrepresentable: the encoder refuses; the exception has the origins too.
    """
    try:
        text = encoder(*args, **kwargs)
    except Unrepresentable as error:
        # the innermost knows best
        error.origins = error.origins or origins
        raise
    return UnitText(text, origins=tuple(dict.fromkeys((*text.origins, *origins))))


#: What no unit file can hold: control characters (a line end would start a section of its own), halves of surrogate
#: pairs (not UTF-8), and noncharacters (systemd drops a line that has one: src/basic/utf8.c, unichar_is_valid).
_NONCHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_FORBIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")

#: Words that need no quotes for any reader.
_BARE = re.compile(r"[A-Za-z0-9_./:=,@+%$-]+\Z")

PERCENT: Mapping[int, str] = str.maketrans({"%": "%%"})
COMMAND: Mapping[int, str] = str.maketrans({"%": "%%", "$": "$$"})
_C_ESCAPES: Mapping[int, str] = str.maketrans({"\\": "\\\\", '"': '\\"'})


def plain(value: Value) -> str:
    """Return *value* with its specifiers as they are written, after the check that every encoder begins with.

    Raises:
        Unrepresentable: there is a character that no unit can hold.
    """
    text = value if isinstance(value, str) else "".join(p if isinstance(p, str) else p.text for p in _pieces(value))
    if not (text.isascii() and text.isprintable()) and _FORBIDDEN.search(text):
        raise Unrepresentable(text, "has a control character or one that is not valid in a unit")
    return text


def translate(value: Value, table: Mapping[int, str]) -> str:
    """Return *value* with the characters of *table* replaced, its specifiers left as they are."""
    if isinstance(value, str):
        return value.translate(table)
    return "".join(piece.translate(table) if isinstance(piece, str) else piece.text for piece in _pieces(value))


def whole_line(value: Value, table: Mapping[int, str]) -> UnitText:
    """Write *value* as all that follows the ``=``; what is around it would be trimmed or joined.

    Raises:
        Unrepresentable: it is empty, begins or ends with white space, or ends with a backslash.
    """
    text = plain(value)
    if not text:
        raise Unrepresentable(text, "is empty, which means that the key is not set")
    if text != text.strip():
        raise Unrepresentable(text, "begins or ends with white space, which is trimmed")
    if text.endswith("\\"):
        raise Unrepresentable(text, "ends with a backslash, which joins the next line to it")
    return UnitText(translate(value, table))


def quoted_word(value: Value, table: Mapping[int, str]) -> str:
    """Write *value* as one word of a line that is split, unquoted and unescaped as C has it."""
    text = plain(value)
    if _BARE.match(text):
        return translate(value, table)
    pieces = (piece.translate(_C_ESCAPES) if isinstance(piece, str) else piece for piece in _pieces(value))
    return f'"{translate(tuple(pieces), table)}"'


def unescaped_word(value: Value, table: Mapping[int, str]) -> str:
    """Write *value* as one word of a line that is split and unquoted, with backslashes as they are.

    Raises:
        Unrepresentable: it is empty, or has a double quote.
    """
    text = plain(value)
    if not text:
        raise Unrepresentable(text, "is empty, which ends the list")
    if '"' in text:
        raise Unrepresentable(text, "has a double quote, which cannot be escaped there")
    bare = _BARE.match(text)
    return translate(value, table) if bare else f'"{translate(value, table)}"'


def lookup(value: Value) -> UnitText:
    """Write *value* for a key that quadlet reads with ``Lookup``: Image, HealthCmd, ShmSize and the like.

    Raises:
        Unrepresentable: besides :func:`lookup_all`, when it begins or ends with a double quote. Podman before 5.8.2
            strips every one at either end, later ones a pair.
    """
    text = plain(value)
    if text.startswith('"') or text.endswith('"'):
        raise Unrepresentable(text, "begins or ends with a double quote, which podman strips")
    return lookup_all(value)


def lookup_all(value: Value) -> UnitText:
    """Write *value* for a key that quadlet reads with ``LookupAll``: Volume, PublishPort, Network. Quotes are kept.

    Raises:
        Unrepresentable: besides :func:`whole_line`, when it is ``;`` alone.
    """
    _refuse_separator(value)
    return whole_line(value, COMMAND)


def lookup_strv(value: Value) -> UnitText:
    """Write *value* as the one word of a key that quadlet reads with ``LookupAllStrv``: AddDevice, DropCapability.

    Raises:
        Unrepresentable: it is empty, has a double quote, or is ``;`` alone.
    """
    _refuse_separator(value)
    return UnitText(unescaped_word(value, COMMAND))


def lookup_args(values: Iterable[Value]) -> UnitText:
    """Write *values* for a key that quadlet reads with ``LookupLastArgs`` or ``LookupAllArgs``: Exec, PodmanArgs.

    Raises:
        Unrepresentable: there are none; one is empty, which ends the list; one is ``;`` alone.
    """
    words = []
    for value in values:
        if not plain(value):
            raise Unrepresentable("", "is an empty argument, which ends the list")
        _refuse_separator(value)
        words.append(quoted_word(value, COMMAND))
    if not words:
        raise Unrepresentable("", "is empty, which means that the key is not set")
    return UnitText(" ".join(words))


def lookup_keyval(name: str, value: Value) -> UnitText:
    """Write the pair for a key that quadlet reads with ``LookupAllKeyVal``: Environment, Label.

    Raises:
        Unrepresentable: *name* is empty or has an equals sign.
    """
    if not name or "=" in name:
        raise Unrepresentable(name, "is no name for a value: it is empty or has an equals sign")
    return UnitText(quoted_word((name, "=", *_pieces(value)), COMMAND))


def _refuse_separator(value: Value) -> None:
    """Refuse ``;`` alone: quadlet writes it without quotes, however it is quoted here, and systemd ends there."""
    if plain(value) == ";":
        raise Unrepresentable(";", "alone ends the command in the unit that podman makes")


def _pieces(value: Value) -> tuple[Piece, ...]:
    return value if isinstance(value, tuple) else (value,)
