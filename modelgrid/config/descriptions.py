"""What each key is for: the texts under the fields of the schema.

They are read from the source, so that starting ModelGrid does not pay for them.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.config import schema

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def descriptions() -> Mapping[tuple[str, str], str]:
    """Return the text under each field of the schema, by the names of its class and of the field.

    A class has the fields of its bases, which stand above it.
    """
    texts: dict[tuple[str, str], str] = {}
    tree = ast.parse(Path(schema.__file__).read_text(encoding="utf-8"))
    for section in tree.body:
        if not isinstance(section, ast.ClassDef):
            continue
        bases = {base.id for base in section.bases if isinstance(base, ast.Name)}
        texts |= {(section.name, field): text for (name, field), text in texts.items() if name in bases}
        for field, text in zip(section.body, section.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                texts[section.name, field.target.id] = " ".join(text.value.value.split())
    return {key: text for key, text in texts.items() if not key[0].startswith("_")}


def describe(section: str, field: str) -> str | None:
    """Return the first sentence of what *field* of the class *section* is for; none where its source is not there."""
    try:
        text = descriptions().get((section, field))
    except (OSError, SyntaxError):
        return None
    return text.partition(". ")[0].rstrip(".") if text else None
