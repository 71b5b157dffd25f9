"""Fills the templates: the one place where text of units is put together, and the only import of jinja2.

A template has loops and ifs and decides nothing. What it prints has to come from an encoder: any other text, even an
integer, is refused, so that no value reaches a unit unescaped.

Which line a value lands on is seen by a mark before it, made of characters that no value can hold and that are taken
out again.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from modelgrid import resources
from modelgrid.emit.artifact import TracedText
from modelgrid.emit.quoting import UnitText
from modelgrid.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment


#: Around the origins of a value. Noncharacters of Unicode, which every encoder refuses in values.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"

#: Between the origins of one value; each is in hexadecimal, so that none of its characters counts here.
_NEXT = ","

#: Origins that are kept: those of one file, which come again and again.
_KEPT = 1000

_MARK = re.compile(f"{_OPEN}([0-9a-f,]*){_CLOSE}")
_LEFT_OVER = re.compile(f"[{_OPEN}{_CLOSE}]")


def render(template: str, values: Mapping[str, object]) -> TracedText:
    """Return *template* (``systemd/modelgrid.target.j2``) with *values* filled in, and where its lines come from.

    Raises:
        InternalError: the template prints something that no encoder made, or names a value that is not there.
    """
    from jinja2 import TemplateError  # noqa: PLC0415  the import costs 30 ms

    try:
        text = _environment().get_template(template).render(values)
    except TemplateError as error:
        raise InternalError(f"the template {template} is at fault: {error}") from error
    return _unmark(text)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  the import costs 30 ms

    return Environment(
        loader=FileSystemLoader(resources.folders("templates")),
        undefined=StrictUndefined,
        finalize=_print,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  the encoders escape, for units, not for HTML
        auto_reload=False,  # templates do not change while a command runs; looking costs a stat(2) for each use
    )


def _print(value: object) -> str:
    if not isinstance(value, UnitText):
        raise InternalError(f"a template prints {value!r}, which no encoder has made")
    if not value.isascii() and _LEFT_OVER.search(value):
        raise InternalError(f"an encoder has let a noncharacter pass in {str(value)!r}")
    if not value.origins:
        return value
    marks = _NEXT.join(map(_mark, value.origins))
    return f"{_OPEN}{marks}{_CLOSE}{value}"


@lru_cache(maxsize=_KEPT)
def _mark(origin: str) -> str:
    return origin.encode("utf-8", "surrogatepass").hex()


@lru_cache(maxsize=_KEPT)
def _origin(mark: str) -> str:
    return bytes.fromhex(mark).decode("utf-8", "surrogatepass")


def _unmark(text: str) -> TracedText:
    """Take the marks out of *text*, and note the lines that they were on."""
    if _OPEN not in text:
        return TracedText(text, ())
    lines: list[str] = []
    origins: dict[tuple[int, str], None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if _OPEN not in line:
            lines.append(line)
            continue
        for mark in _MARK.findall(line):
            for origin in mark.split(_NEXT):
                origins[number, _origin(origin)] = None
        lines.append(_MARK.sub("", line))
    return TracedText("\n".join(lines), tuple(origins))
