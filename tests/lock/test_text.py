from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelgrid.errors import ConfigError
from modelgrid.lock.text import line_of, read_lock, write_lock
from modelgrid.lock.values import Lock, LockedFile, LockedImage, LockedManifest, LockedModel
from tests.lock.strategies import LOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

A, B = "a" * 64, "b" * 64
EXAMPLE = Lock(
    images={
        "ghcr.io/org/serve:1": LockedImage(
            digest=f"sha256:{A}",
            architectures={
                "arm64": LockedManifest(digest=f"sha256:{B}", size=20),
                "amd64": LockedManifest(digest=f"sha256:{A}", size=10),
            },
        )
    },
    models={
        "hf://org/tiny": LockedModel(
            revision="c" * 40, files={"b.bin": LockedFile(size=2, sha256=B), "a.bin": LockedFile(size=1, sha256=A)}
        )
    },
)
TEXT = f"""\
{{
  "lock_version": 1,
  "images": {{
    "ghcr.io/org/serve:1": {{
      "digest": "sha256:{A}",
      "architectures": {{
        "amd64": {{"digest": "sha256:{A}", "size": 10}},
        "arm64": {{"digest": "sha256:{B}", "size": 20}}
      }}
    }}
  }},
  "models": {{
    "hf://org/tiny": {{
      "revision": "{"c" * 40}",
      "files": {{
        "a.bin": {{"sha256": "{A}", "size": 1}},
        "b.bin": {{"sha256": "{B}", "size": 2}}
      }}
    }}
  }}
}}
"""


def test_a_lock_is_written_sorted_with_one_file_or_architecture_a_line() -> None:
    assert write_lock(EXAMPLE) == TEXT


def test_the_line_of_a_name_is_found_in_its_own_section() -> None:
    text = write_lock(
        Lock(images={"same": EXAMPLE.images["ghcr.io/org/serve:1"]}, models={"same": EXAMPLE.models["hf://org/tiny"]})
    )
    lines = text.splitlines()
    first, second = line_of(text, "images", "same"), line_of(text, "models", "same")
    assert first < second
    assert {lines[first - 1], lines[second - 1]} == {'    "same": {'}
    assert line_of(text, "images", "other") == 1


@given(lock=LOCKS)
def test_what_is_written_is_read_back(lock: Lock) -> None:
    text = write_lock(lock)
    assert read_lock(text, file="x.lock") == lock
    assert json.loads(text)["lock_version"] == 1


def shuffled(items: Mapping[str, T], shuffle: random.Random) -> dict[str, T]:
    pairs = list(items.items())
    shuffle.shuffle(pairs)
    return dict(pairs)


@given(lock=LOCKS, seed=st.integers(0, 2**32))
def test_the_order_of_finding_leaves_no_trace(lock: Lock, seed: int) -> None:
    shuffle = random.Random(seed)
    models = {
        name: replace(model, files=shuffled(model.files, shuffle), facts=shuffled(model.facts, shuffle))
        for name, model in shuffled(lock.models, shuffle).items()
    }
    other = Lock(images=shuffled(lock.images, shuffle), models=models)
    assert other == lock
    assert write_lock(other) == write_lock(lock)


@settings(max_examples=300)
@given(cut=st.integers(0, len(TEXT) - 3), junk=st.sampled_from(["", "[", '"', "{}", "null", "1e999", "NaN", "\0"]))
def test_a_damaged_file_is_refused_in_one_sentence(cut: int, junk: str) -> None:
    damaged = TEXT[:cut] + junk + TEXT[cut + 1 :]
    said = "x.lock"
    try:
        # most damages are refused; what is read all the same is a lock
        assert write_lock(read_lock(damaged, file="x.lock"))
    except ConfigError as error:
        said = error.message
    assert said.startswith("x.lock")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"lock_version": 1', '"lock_version": 2', "reads 1, and the file has 2"),
        ('"lock_version": 1', '"lock_version": true', "reads 1"),
        ('"lock_version": 1,', '"lock_version": 1, "lock_version": 1,', 'has "lock_version" twice'),
        ('"size": 10', '"size": -1', 'images["ghcr.io/org/serve:1"].architectures["amd64"].size'),
        ('"size": 10', '"size": true', "is no size in bytes"),
        ('"size": 10', '"size": NaN', "NaN"),
        ('"size": 10', '"sise": 10', "size is missing"),
        ("sha256:a", "sha512:a", "has not the form of a digest"),
        ('"amd64"', '"riscv64"', "riscv64 is not one of amd64, arm64"),
        ('"images"', '"image"', '"image" is unknown'),
        ("cccc", "CCCC", "revision"),
        ('  "images"', "<<<<<<< HEAD", "x.lock:3:1 has marks of a merge"),
        ('"files": {', '"facts": 1, "files": {', ".facts: is no mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_lock(TEXT.replace(old, new, 1), file="x.lock")
    assert said in caught.value.message


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ConfigError):
        read_lock("[" * 200_000, file="x.lock")
