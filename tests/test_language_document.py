"""docs/language.md shows what it describes: each field of a section stands in the section's example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parent.parent / "docs/language.md").read_text(encoding="utf-8")
SECTIONS = dict(part.split("\n", 1) for part in TEXT.split("\n## ")[1:])
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \|.*\| (.*) \|$", re.MULTILINE)


@pytest.mark.parametrize("title", SECTIONS)
def test_each_field_has_a_type_a_meaning_and_an_example(title: str) -> None:
    rows = ROW.findall(SECTIONS[title])
    (example,) = re.findall(r"^```ya?ml\n(.*?)^```", SECTIONS[title], re.MULTILINE | re.DOTALL)

    assert rows
    for field, kind, meaning in rows:
        assert kind.strip()
        assert meaning
        if (title, field) not in {("The file", "target"), ("The file", "greenlist")}:  # they have sections of their own
            assert re.search(rf"\b{field}: ?", example), field


def test_links_lead_to_sections() -> None:
    anchors = {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in SECTIONS}
    assert set(re.findall(r"\(#([\w-]+)\)", TEXT)) <= anchors
