"""``diff N M``: what one generation of a host changes against another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelgrid.apply.host import this_host
from modelgrid.apply.store.generations import Generations
from modelgrid.cli.diff import show_review
from modelgrid.cli.pipeline import scope_of
from modelgrid.errors import HostError, UsageError
from modelgrid.review.compare import compare

if TYPE_CHECKING:
    import argparse

_NUMBER = re.compile(r"[0-9]{1,9}\Z")


def run_diff_of_generations(options: argparse.Namespace) -> int:
    """Say what generation M changes against N, by what this host keeps of both: exit 0 for nothing, 2 for changes."""
    numbers = [text for text in (options.file, options.other) if text is not None]
    if not all(_NUMBER.match(text) for text in numbers):
        raise UsageError(
            "diff compares a configuration with --base REV, or two generations by their numbers",
            hint="modelgrid diff FILE --base REV, or modelgrid diff N M",
        )
    host = this_host(scope_of(options))
    generations = Generations(host.files, host.layout)
    before = _existing(generations, int(options.file))
    after = generations.current() if options.other is None else _existing(generations, int(options.other))
    if after is None:
        raise HostError("nothing is applied on this host, so no generation is current", hint="name a second generation")
    new = generations.read(after)
    review = compare(generations.read(before, known=new), new)
    notes = [problem for number in (before, after) for problem in generations.problems(number)]
    return show_review(review, {"before": before, "after": after}, options, place=lambda _: "", notes=notes)


def _existing(generations: Generations, number: int) -> int:
    if number not in generations.numbers():
        raise HostError(f"there is no generation {number}", hint="see which there are with: modelgrid generations")
    return number
