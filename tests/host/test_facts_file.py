from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.errors import ConfigError
from modelgrid.host.facts import Gpu, HostFacts, Vendor, version_numbers
from modelgrid.host.facts_file import dump_facts, load_facts

WORD = st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True)
FACTS = st.builds(
    HostFacts,
    system=st.sampled_from(["linux", "darwin", "windows"]),
    distribution=WORD,
    distribution_version=st.sampled_from(["13", "24.04", ""]),
    arch=st.sampled_from(["x86_64", "aarch64"]),
    podman=st.one_of(st.none(), st.tuples(st.integers(3, 6), st.integers(0, 20), st.integers(0, 9))),
    systemd=st.one_of(st.none(), st.integers(240, 270)),
    python=st.just("/opt/modelgrid/bin/python"),
    programs=st.dictionaries(WORD, st.just("/usr/bin/x")).map(lambda items: tuple(sorted(items.items()))),
    embedded_llama=st.booleans(),
    gpus=st.lists(
        st.builds(
            Gpu,
            index=st.integers(0, 8),
            uuid=WORD,
            name=st.text(st.characters(exclude_categories=["C"]), max_size=20),
            memory=st.integers(0, 2**40),
            vendor=st.sampled_from(Vendor),
        ),
        max_size=3,
    ).map(tuple),
)


@given(FACTS)
def test_facts_come_back_from_their_file_unchanged(facts: HostFacts) -> None:
    assert load_facts(dump_facts(facts), file="facts.yaml") == facts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "facts_version: 2",
        "{",
        "facts_version: 1",
        "facts_version: 1\nsystem: linux\narch: x86_64\npython: /p\ngpus: [{}]",
        "facts_version: 1\nsystem: linux\narch: x86_64\npython: /p\nprograms: 3",
        "facts_version: 1\nsystem: linux\narch: x86_64\npython: /p\nwrong: 1",
        "facts_version: 1\nsystem: linux\narch: x86_64\npython: /p\npodman: five",
    ],
)
def test_a_bad_facts_file_is_one_clear_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^facts\.yaml") as caught:
        load_facts(text, file="facts.yaml")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("podman version 5.4.2", (5, 4, 2)),
        ("systemd 257 (257.3-1)", (257,)),
        ("5.8.2-dev\n", (5, 8, 2)),
        ("none", None),
    ],
)
def test_version_numbers(text: str, expected: tuple[int, ...] | None) -> None:
    assert version_numbers(text) == expected
