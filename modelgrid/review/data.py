"""Writes a Review as values that JSON has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelgrid.redaction import mask, mask_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.review.values import KeyChange, NamedChange, Review


def to_data(review: Review, *, place: Callable[[str], str]) -> dict[str, Any]:
    """Return *review* as lists and mappings; *place* gives ``FILE:LINE:COLUMN`` of a path, or an empty text."""
    return {
        "files_changed": review.files,
        "units": [
            {
                "unit": unit.unit,
                "model": unit.model or None,
                "change": unit.kind.value,
                "effect": unit.effect.name.lower(),
                "origin": unit.origin or None,
                "place": place(unit.origin) or None,
                "keys": [_change(key, place) for key in unit.keys],
                "reasons": [mask_line(reason) for reason in unit.reasons],
            }
            for unit in review.units
        ],
        "routes": [_named(item, place) for item in review.routes],
        "keys": [_named(item, place) for item in review.keys],
        "gateway": [_change(item, place) for item in review.settings],
        "images": {"added": list(review.images_added), "removed": list(review.images_removed)},
        "gpu_memory": [
            {"model": item.model, "gpu": item.gpu, "before": item.before, "after": item.after} for item in review.claims
        ],
        "relaxations": {
            name: [{"unit": item.unit, "model": item.model or None, "text": item.text} for item in found]
            for name, found in (("gained", review.relaxations_gained), ("lost", review.relaxations_lost))
        },
    }


def _named(item: NamedChange, place: Callable[[str], str]) -> dict[str, Any]:
    return {
        "name": item.name,
        "change": item.kind.value,
        "fields": [_change(field, place) for field in item.fields],
    }


def _change(change: KeyChange, place: Callable[[str], str]) -> dict[str, Any]:
    return {
        "key": change.key,
        "before": [mask(mask_line(value)) for value in change.before],
        "after": [mask(mask_line(value)) for value in change.after],
        "origins": [{"path": origin, "place": place(origin) or None} for origin in change.origins],
    }
