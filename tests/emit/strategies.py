"""Texts that quoting rules were made to fail on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from modelgrid.emit.quoting import Unrepresentable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SPECIAL = [
    *"\"'\\$%;#=:,-[]{}()<>|&!*?~^`@+/.",
    *[" ", "  ", "a", "b", "0", "K=v", "--flag", "%n", "%i", "%%", "$$", "$HOME", "${HOME}", "{%if x%}", "$("],
    *["\\n", "\\x41", "\\u0041", "\\101", "\\.", "\\ ", "; ", " ;", " ; ", "# ", "[Service]", "ExecStart=", ":ro"],
    *["é", "漢", "🦙", "\u00a0", "\u2028", "\u3000", "\ufeff", "\u0301"],
]
_FORBIDDEN = ["\n", "\n[Service]\nExecStartPre=/bin/sh", *"\t\r\x00\x07\x1f\x7f\x80\x85\ufffe\U0001ffff\ufdd0\ud800"]

#: Text of what readers treat specially, without what no unit can hold.
special = st.lists(st.sampled_from(_SPECIAL), max_size=6).map("".join)

#: Any text at all.
nasty = st.one_of(st.lists(st.sampled_from([*_SPECIAL, *_FORBIDDEN]), max_size=6).map("".join), st.text(max_size=12))


def written_by(encoder: Callable[[str], str], texts: st.SearchStrategy[str] = special) -> st.SearchStrategy[str]:
    """Those of *texts* that *encoder* does not refuse."""

    def fits(text: str) -> bool:
        try:
            encoder(text)
        except Unrepresentable:
            return False
        return True

    return texts.filter(fits)


def examples(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """The same *count* examples of *strategy* each time, for a reader that costs too much to ask one by one."""
    found: list[T] = []

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: T) -> None:
        found.append(example)

    collect()
    return found
