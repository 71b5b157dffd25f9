"""Which few models are the reason that another has no place."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelgrid.compile.placement.search import Steps

T = TypeVar("T")


def smallest_core(items: Sequence[T], impossible: Callable[[Sequence[T]], bool], steps: Steps) -> list[T]:
    """Return a part of *items* that is *impossible* still, and no longer is without any one of its members.

    Those at the front are left out first, in runs that halve. *items* as a whole must be impossible, and what is
    added to something impossible leaves it so. Each question costs steps by the number of items in it; when they
    are used up, or *impossible* cannot tell, the result is impossible all the same but may be longer.
    """
    core = list(items)
    run = len(core)
    while run:
        start = 0
        while start < len(core):
            rest = core[:start] + core[start + run :]
            if steps.left < _price(rest):
                return core
            steps.left -= _price(rest)
            if impossible(rest):
                core = rest
            else:
                start += run
        run //= 2
    return core


def _price(items: Sequence[T]) -> int:
    return 1 + len(items) // 4
