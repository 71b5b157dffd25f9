"""How a value of a configuration is written for a key that is set by hand: by the reader of the key."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, TypeAlias, assert_never

from modelgrid.emit.podman_keys import Reader
from modelgrid.emit.quoting import (
    UnitText,
    Unrepresentable,
    lookup,
    lookup_all,
    lookup_args,
    lookup_keyval,
    lookup_strv,
)
from modelgrid.emit.systemd_keys import Form
from modelgrid.emit.systemd_quoting import command, environment, line, word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Scalar: TypeAlias = str | int | float | bool

#: Keys whose text is a part of a command line.
_COMMAND_LINES = frozenset({"GlobalArgs", "PodmanArgs", "ReloadCmd"})

_WORDS = re.compile(r"[A-Za-z0-9_.:/@+,=*~!<>|-]+(?: [A-Za-z0-9_.:/@+,=*~!<>|-]+)*\Z")
_AMOUNT = re.compile(r"[A-Za-z0-9.%]+\Z")

_NO_BOOLEAN = "is not true or false"


def text_of(value: Scalar) -> str:
    """Return *value* as text; ``true`` and ``false`` as podman and systemd both read them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def quadlet_value(key: str, reader: Reader, value: Scalar) -> UnitText:
    """Write *value* for *key* of [Container], which quadlet reads with *reader*.

    Raises:
        Unrepresentable: the reader has no spelling for it, or wants another kind of value.
    """
    text = text_of(value)
    if isinstance(value, bool) != (reader in {Reader.BOOLEAN, Reader.FLAG}):
        raise Unrepresentable(text, "is true or false where text is wanted" if isinstance(value, bool) else _NO_BOOLEAN)
    match reader:
        case Reader.BOOLEAN | Reader.FLAG | Reader.LOOKUP:
            return lookup(text)
        case Reader.ALL:
            return lookup_all(text)
        case Reader.STRV:
            return lookup_strv(text)
        case Reader.ARGS | Reader.LAST_ARGS:
            return lookup_args(_split(text) if key in _COMMAND_LINES else [text])
        case Reader.KEYVAL:
            name, equals, rest = text.partition("=")
            if not equals:
                raise Unrepresentable(text, "is not of the form NAME=VALUE")
            return lookup_keyval(name, rest)
        case Reader.NUMBER:
            if not text.isdecimal():
                raise Unrepresentable(text, "is no number")
            return UnitText(text)
        case other:
            assert_never(other)


def systemd_value(form: Form, value: Scalar) -> UnitText:
    """Write *value* for a key that systemd reads, in *form*.

    Raises:
        Unrepresentable: the form has no spelling for it.
    """
    if form is Form.BOOLEAN and not isinstance(value, bool):
        raise Unrepresentable(text_of(value), _NO_BOOLEAN)
    return _FORMS[form](text_of(value))


def _words(text: str) -> UnitText:
    return _matching(_WORDS, text, "is not made of plain words")


def _amount(text: str) -> UnitText:
    return _matching(_AMOUNT, text, "is no amount")


def _path(text: str) -> UnitText:
    if "\\" in text:
        raise Unrepresentable(text, "has a backslash, which systemd takes away there")
    return word(text)


def _variable(text: str) -> UnitText:
    name, _, value = text.partition("=")
    return environment(name, value)


def _command(text: str) -> UnitText:
    words = _split(text)
    # of the prefixes only the one that a failure does not matter: others give privileges, or mean another quoting
    ignores, program = words[0].startswith("-"), words[0].removeprefix("-")
    written = command(program, *words[1:])
    return UnitText(f"-{written}") if ignores else written


def _split(text: str) -> Sequence[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Unrepresentable(text, "has a quote that is not closed") from error
    if not words:
        raise Unrepresentable(text, "has no words")
    return words


def _matching(pattern: re.Pattern[str], text: str, rule: str) -> UnitText:
    if not pattern.match(text):
        raise Unrepresentable(text, rule)
    return UnitText(text)


_FORMS: Mapping[Form, Callable[[str], UnitText]] = {
    Form.AMOUNT: _amount,
    Form.BOOLEAN: _words,
    Form.COMMAND: _command,
    Form.ENVIRONMENT: _variable,
    Form.LINE: line,
    Form.PATHS: _path,
    Form.UNITS: word,
    Form.WORDS: _words,
}
