"""Writes a Review for terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.quantities import format_size
from modelgrid.redaction import mask, mask_line
from modelgrid.review.values import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelgrid.review.values import ClaimChange, KeyChange, NamedChange, Review, UnitChange

#: Texts with no more words are shown whole.
_SHORT = 6

_SIGNS = {Kind.ADDED: "+", Kind.REMOVED: "-", Kind.CHANGED: "~"}


def to_text(review: Review, *, title: str, place: Callable[[str], str]) -> str:
    """Write *review* under *title*; *place* gives ``FILE:LINE:COLUMN`` of a path, or an empty text."""
    lines = [title]
    if review.empty:
        lines.append("nothing changes")
    elif not review.units:
        lines.append("nothing that runs is touched: what changes is not in effect, or only for people")
    for unit in review.units:
        lines += _unit_lines(unit, place)
    for heading, found in (
        ("routes", [_named_line(item) for item in review.routes]),
        ("keys", [_named_line(item) for item in review.keys]),
        ("gateway", [change_line(item) for item in review.settings]),
        ("images", [*(f"+ {item}" for item in review.images_added), *(f"- {item}" for item in review.images_removed)]),
        ("GPU memory", [claim_line(item) for item in review.claims]),
        ("looser than before", [f"{item.model or item.unit} {item.text}" for item in review.relaxations_gained]),
        ("no longer looser", [f"{item.model or item.unit} {item.text}" for item in review.relaxations_lost]),
    ):
        if found:
            lines += [f"{heading}:", *(f"  {line}" for line in found)]
    return "\n".join(visible(mask(line)) for line in lines)


def _unit_lines(unit: UnitChange, place: Callable[[str], str]) -> Iterator[str]:
    where = " ".join(word for word in (unit.origin, place(unit.origin)) if word)
    yield f"{_SIGNS[unit.kind]} {unit.unit}  {unit.effect.value}{f'  ({where})' if where else ''}"
    for change in unit.keys:
        yield f"    {change_line(change)}"
        for origin in change.origins:
            found = place(origin)
            yield f"      from {f'{found} at {origin}' if found else origin}"
    for reason in unit.reasons:
        yield f"    {mask_line(reason)}"


def _named_line(item: NamedChange) -> str:
    fields = "; ".join(change_line(field) for field in item.fields)
    return f"{_SIGNS[item.kind]} {item.name}{f': {fields}' if fields else ''}"


def change_line(change: KeyChange) -> str:
    """Write a key with its values: those that went and those that came, where it has several."""
    gone = [value for value in change.before if value not in change.after]
    come = [value for value in change.after if value not in change.before]
    if not change.before and not change.after:
        return f"{change.key} changed"
    if not gone and not come:
        return f"{change.key} has another order"
    if len(gone) == len(come) == 1:
        was, becomes = _apart(mask_line(gone[0]), mask_line(come[0]))
        return f'{change.key}: "{was}" -> "{becomes}"'
    if gone and come:
        return f"{change.key}: {_quote(gone)} -> {_quote(come)}"
    return f"{change.key}: no longer {_quote(gone)}" if gone else f"{change.key}: now {_quote(come)}"


def claim_line(claim: ClaimChange) -> str:
    """Write what a model takes of a GPU before and after."""
    return f"{claim.model} on {claim.gpu}: {_size(claim.before)} -> {_size(claim.after)}"


def visible(text: str) -> str:
    """Write what cannot be seen as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _apart(before: str, after: str) -> tuple[str, str]:
    """Leave out most of the words that two long texts begin and end with alike."""
    old, new = before.split(" "), after.split(" ")
    if min(len(old), len(new)) <= _SHORT or old == new:
        return before, after
    most = min(len(old), len(new))
    head = next((place for place in range(most) if old[place] != new[place]), most)
    tail = next((place for place in range(most - head) if old[-1 - place] != new[-1 - place]), most - head)
    # the word before the first that differs is the option that it belongs to
    first = max(head - 1, 0)
    start = ["…"] if first else []

    def cut(words: list[str]) -> str:
        return " ".join([*start, *words[first : len(words) - tail], *(["…"] if tail else [])])

    return cut(old), cut(new)


def _quote(values: list[str]) -> str:
    return ", ".join(f'"{mask_line(value)}"' for value in values)


def _size(memory: int | None) -> str:
    if memory is None:
        return "nothing"
    return format_size(memory) if memory else "an unknown amount"
