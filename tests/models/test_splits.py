from __future__ import annotations

import pytest

from modelgrid.models.splits import MOST_PARTS, split_names


@pytest.mark.parametrize("name", ["big-00001-of-00003.gguf", "big-00003-of-00003.gguf"])
def test_each_part_of_split_weights_names_all_of_them(name: str) -> None:
    assert split_names(name) == tuple(f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3))


@pytest.mark.parametrize(
    "name",
    [
        "big.gguf",
        "",
        "big-1-of-3.gguf",
        "big-00001-of-00003.safetensors",
        "big-00004-of-00003.gguf",
        "big-00000-of-00003.gguf",
        f"big-00001-of-{MOST_PARTS + 1:05}.gguf",
    ],
)
def test_any_other_name_is_that_of_one_file(name: str) -> None:
    assert split_names(name) == (name,)
