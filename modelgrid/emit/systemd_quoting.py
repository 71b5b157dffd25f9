"""How a value is written in a section that systemd itself reads: one encoder for each kind of key.

The rules are systemd.syntax(7), "QUOTING", systemd.service(5), "COMMAND LINES", and systemd.unit(5), "SPECIFIERS".
``[Service]`` and ``[Unit]`` of a quadlet are among these sections: quadlet copies their lines.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from modelgrid.emit.quoting import (
    COMMAND,
    PERCENT,
    UnitText,
    Unrepresentable,
    Value,
    plain,
    quoted_word,
    unescaped_word,
    whole_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROGRAM_NAME = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]*\Z")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9_.:/@+,=*-]+\Z")


def command(program: str, *arguments: Value) -> UnitText:
    """Write a command for ``ExecStart=`` and its kin.

    *program* is an absolute path, or the bare name of a program in systemd's own search path.

    Raises:
        Unrepresentable: systemd takes no such path: it is neither of the two, ends with a slash, or has a quote, a
            backslash or a dollar sign.
    """
    text = plain(program)
    if not text.startswith("/") and not _PROGRAM_NAME.match(text):
        raise Unrepresentable(text, "is neither an absolute path of a program nor a bare name")
    if text.endswith("/"):
        raise Unrepresentable(text, "ends with a slash and so is no program")
    if found := set(text) & set("\"'\\$"):
        raise Unrepresentable(text, f"has {' and '.join(sorted(found))}, which systemd takes in no path of a program")
    words = [quoted_word(program, PERCENT)]
    # a lone semicolon would begin the next command; in quotes it does not
    words += [quoted_word(argument, COMMAND) for argument in arguments]
    return UnitText(" ".join(words))


def environment(name: str, value: Value) -> UnitText:
    """Write one assignment for ``Environment=``, where ``$`` means nothing.

    Raises:
        Unrepresentable: systemd ignores variables of such a *name*.
    """
    if not _ENVIRONMENT_NAME.match(name):
        raise Unrepresentable(name, "is no name of a variable for systemd: letters, digits and underscores")
    pieces = value if isinstance(value, tuple) else (value,)
    return UnitText(quoted_word((name, "=", *pieces), PERCENT))


def line(value: Value) -> UnitText:
    """Write *value* for a key that takes the rest of the line with its specifiers: ``Description=``.

    Raises:
        Unrepresentable: as :func:`modelgrid.emit.quoting.whole_line`.
    """
    return whole_line(value, PERCENT)


def word(value: Value) -> UnitText:
    """Write *value* as one word for a key that takes a list of paths or names: ``RequiresMountsFor=``.

    Raises:
        Unrepresentable: it is empty, or has a double quote.
    """
    return UnitText(unescaped_word(value, PERCENT))


def token(value: str | int) -> UnitText:
    """Write *value* where only plain words make sense: unit names, addresses, numbers, devices.

    Raises:
        Unrepresentable: it is something else.
    """
    text = plain(str(value))
    if not _TOKEN.match(text):
        raise Unrepresentable(text, "is no plain word")
    return UnitText(text)


def seconds(value: float) -> UnitText:
    """Write a span of *value* seconds, in milliseconds where it is not whole, as both systemd and podman read it.

    Raises:
        Unrepresentable: it is no positive span.
    """
    if not math.isfinite(value) or value <= 0:
        raise Unrepresentable(str(value), "is no positive number of seconds")
    return UnitText(f"{int(value)}s" if value == int(value) else f"{max(1, round(value * 1000))}ms")


def note(value: str) -> UnitText:
    """Write *value* for a key of an ``X-`` section, which nobody expands and systemd does not read.

    Raises:
        Unrepresentable: as :func:`modelgrid.emit.quoting.whole_line`.
    """
    return whole_line(value, {})


def notes(values: Iterable[str]) -> tuple[UnitText, ...]:
    """Write each of *values* as :func:`note` does."""
    return tuple(note(value) for value in values)
