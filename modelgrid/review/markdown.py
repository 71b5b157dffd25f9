"""Writes a Review as the comment of a pull request, in GitHub's Markdown.

All that comes from a configuration stands in code spans, where neither Markdown nor HTML nor a mention takes effect.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from modelgrid.redaction import mask
from modelgrid.review.text import change_line, claim_line, visible
from modelgrid.review.values import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from modelgrid.review.values import NamedChange, Review, UnitChange

#: A comment on GitHub has at most 65536 characters; what is around this one needs some.
LIMIT = 60_000

_WORDS = {Kind.ADDED: "new", Kind.REMOVED: "removed", Kind.CHANGED: "changed"}


def to_markdown(review: Review, *, title: str, place: Callable[[str], str], notes: Sequence[str] = ()) -> str:
    """Write *review*; *place* gives ``FILE:LINE:COLUMN`` of a path, *notes* are sentences to be read first.

    What does not fit into a comment is left out, and that is said.
    """
    head = [f"### ModelGrid: {code(title)}", "", *(f"> {_plain(note)}\n" for note in notes)]
    if review.empty:
        return "\n".join([*head, "Nothing changes.", ""])
    table, details = [*_summary(review)], [part for unit in review.units for part in [_details(unit, place)] if part]
    text = "\n".join([*head, *table, *_lists(review)])
    left = 0
    for part in details:
        if len(text) + len(part) > LIMIT:
            left += 1
        else:
            text += part
    if len(text) > LIMIT:
        text = text[: text.rindex("\n", 0, LIMIT)]
        left += 1
    return text + (f"\n\n{left} more parts are left out: run `modelgrid diff` to see them.\n" if left else "\n")


def code(text: str) -> str:
    """Return *text* as a code span that also holds in a table (GitHub Flavored Markdown, 4.10 and 6.3)."""
    text = visible(mask(text)).replace("|", "\\|") or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _plain(text: str) -> str:
    """Return a sentence of ours with every character of Markdown and HTML disarmed."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~@-])", r"\\\1", html.escape(visible(mask(text)), quote=False))


def _summary(review: Review) -> Iterator[str]:
    if not review.units:
        yield "Nothing that runs is touched."
        return
    yield "| Unit | Model | Change | Effect |"
    yield "|---|---|---|---|"
    for unit in review.units:
        model = code(unit.model) if unit.model else ""
        yield f"| {code(unit.unit)} | {model} | {_WORDS[unit.kind]} | {unit.effect.value} |"


def _lists(review: Review) -> Iterator[str]:
    for heading, found in (
        ("Looser than before", [f"{item.model or item.unit} {item.text}" for item in review.relaxations_gained]),
        ("No longer looser", [f"{item.model or item.unit} {item.text}" for item in review.relaxations_lost]),
        ("Routes", [_named(item) for item in review.routes]),
        ("Keys", [_named(item) for item in review.keys]),
        ("Gateway", [change_line(item) for item in review.settings]),
        ("New images", review.images_added),
        ("Images no longer used", review.images_removed),
        ("GPU memory", [claim_line(item) for item in review.claims]),
    ):
        if found:
            yield f"\n**{heading}**\n"
            yield from (f"- {code(line)}" for line in found)


def _named(item: NamedChange) -> str:
    fields = "; ".join(change_line(field) for field in item.fields)
    return f"{item.name} {_WORDS[item.kind]}{f': {fields}' if fields else ''}"


def _details(unit: UnitChange, place: Callable[[str], str]) -> str:
    lines = []
    for change in unit.keys:
        origins = [f"{place(origin)} {origin}".strip() for origin in change.origins]
        lines.append(f"- {code(change_line(change))}{''.join(f' from {code(origin)}' for origin in origins)}")
    lines += [f"- {code(reason)}" for reason in unit.reasons]
    if not lines:
        return ""
    summary = html.escape(visible(mask(unit.unit)))
    return f"\n\n<details><summary><code>{summary}</code></summary>\n\n" + "\n".join(lines) + "\n\n</details>"
