"""Weights in several GGUF files: which files belong together. Pure: it follows from the name of one."""

from __future__ import annotations

import re

#: As llama.cpp names them (llama_split_path in include/llama.h): prefix, number from 1, count.
_PART = re.compile(r"(.+-)([0-9]{5})(-of-([0-9]{5})\.gguf)\Z", re.ASCII | re.IGNORECASE | re.DOTALL)

#: A name that claims more parts is taken for that of one file: no such weights exist.
MOST_PARTS = 1000


def split_names(name: str) -> tuple[str, ...]:
    """Return the names of all files that belong with file *name*, itself included, in their order.

    ``big-00001-of-00003.gguf`` has three; any other name is that of one file.
    """
    match = _PART.match(name)
    if match is None or not 1 <= int(match[2]) <= int(match[4]) <= MOST_PARTS:
        return (name,)
    return tuple(f"{match[1]}{number:05}{match[3]}" for number in range(1, int(match[4]) + 1))
