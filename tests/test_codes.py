"""The register of codes, the code that uses them, and the list in docs/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelgrid.codes import CODES

ROOT = Path(__file__).parent.parent


def test_every_code_in_the_source_is_registered_and_every_registered_one_is_used() -> None:
    files = [path for path in (ROOT / "modelgrid").rglob("*.py") if path.name != "codes.py"]
    used = {code for path in files for code in re.findall(r'"(MG\d{4})"', path.read_text(encoding="utf-8"))}

    assert used == set(CODES)


@pytest.mark.parametrize("name", CODES)
def test_a_code_says_cause_and_fix_in_sentences(name: str) -> None:
    code = CODES[name]

    assert re.fullmatch(r"MG[1-4]\d{3}", name)
    assert code.title[0].islower()
    assert not code.title.endswith(".")
    for text in (code.cause, code.fix):
        assert text.endswith(".")
        assert "  " not in text


def test_codes_are_in_order() -> None:
    assert list(CODES) == sorted(CODES)
