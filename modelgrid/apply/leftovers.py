"""Images that earlier generations pulled: each generation remembers them, to be found when those are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.apply.planning.units import units_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelgrid.apply.store.generations import Generations
    from modelgrid.emit.artifact import Artifact

#: Images that one generation remembers of those before it. More than any host has had.
_MOST = 500


def pulled_images(tree: Iterable[Artifact]) -> frozenset[str]:
    """Return the images that units of *tree* pull."""
    return frozenset(unit.image for unit in units_of(tree).values() if unit.image)


def images_left(generations: Generations, desired: Iterable[Artifact]) -> tuple[str, ...]:
    """Return the images that generations before *desired* pulled and it does not, sorted: what it shall remember.

    The newest before it remembers all that came before that one, so none is lost when old generations go.
    """
    known = generations.list()
    if not known:
        return ()
    newest = known[-1]
    before = {*newest.images_left, *pulled_images(generations.read(newest.number))}
    return tuple(sorted(before - pulled_images(desired)))[:_MOST]
