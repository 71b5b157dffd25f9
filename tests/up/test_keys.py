"""Keys are made so that they can be known by their hash alone."""

from __future__ import annotations

import hashlib
import re

from modelgrid.keys import new_key


def test_a_key_comes_with_its_hash() -> None:
    key, digest = new_key()

    assert re.fullmatch(r"sk-mg-[A-Za-z0-9_-]{43}", key)
    assert digest == hashlib.sha256(key.encode()).hexdigest()


def test_no_two_keys_are_the_same() -> None:
    assert len({new_key() for _ in range(100)}) == 100
