"""Fills the templates: the one place where text of units is put together, and the only import of jinja2.

A template has loops and ifs and decides nothing. What it prints has to come from an encoder: any other text, even an
integer, is refused, so that no value reaches a unit unescaped.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from modelgrid import resources
from modelgrid.emit.quoting import UnitText
from modelgrid.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment


def render(template: str, values: Mapping[str, object]) -> str:
    """Return *template* (``systemd/modelgrid.target.j2``) with *values* filled in.

    Raises:
        InternalError: the template prints something that no encoder made, or names a value that is not there.
    """
    from jinja2 import TemplateError  # noqa: PLC0415  the import costs 30 ms

    try:
        return _environment().get_template(template).render(values)
    except TemplateError as error:
        raise InternalError(f"the template {template} is at fault: {error}") from error


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  the import costs 30 ms

    return Environment(
        loader=FileSystemLoader(resources.folders("templates")),
        undefined=StrictUndefined,
        finalize=_only_encoded,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  the encoders escape, for units, not for HTML
    )


def _only_encoded(value: object) -> UnitText:
    if isinstance(value, UnitText):
        return value
    raise InternalError(f"a template prints {value!r}, which no encoder has made")
