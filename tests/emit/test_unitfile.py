from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.emit import emit
from modelgrid.emit.names import unit_name
from modelgrid.emit.unitfile import UnitSyntaxError, config_hash, meaning, parse_unit
from tests.emit import samples

UNIT = """\
# made by hand
[Unit]
Description=A
After=a.service
After=b.service c.service

[Service]
ExecStart=/bin/a \\
  --b \\
# in between
  --c
Environment=
Environment=A=b=c
"""


def test_parse_reads_sections_lists_and_continued_lines() -> None:
    assert parse_unit(UNIT) == {
        ("Unit", "Description"): ("A",),
        ("Unit", "After"): ("a.service", "b.service c.service"),
        ("Service", "ExecStart"): ("/bin/a  --b  --c",),
        ("Service", "Environment"): ("", "A=b=c"),
    }


@pytest.mark.parametrize(("text", "number"), [("A=b\n", 1), ("[A]\nb\n", 2), ("[A]\n\n=c\nd", 4), ("[A\nb=c", 1)])
def test_parse_says_which_line_is_no_part_of_a_unit(text: str, number: int) -> None:
    with pytest.raises(UnitSyntaxError) as caught:
        parse_unit(text)

    assert caught.value.number == number


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# made by hand\n", ""),
        ("# made by hand", "; made by another hand"),
        ("Description=A\n", ""),
        ("Description=A", "Description=Another\nDocumentation=man:a(1)"),
        ("[Service]", "[Install]\nWantedBy=a.target\n\n[Service]"),
        ("[Service]", "[X-ModelGrid]\nConfigHash=1\n\n[Service]"),
        ("[Service]", "[Service]\nX-Note=1"),
        ("[Service]", "[Container]\nLabel=io.modelgrid.config-hash=1\n[Service]"),
        ("After=a.service\n", "After = a.service  \n"),
        ("\n\n", "\n\n\n"),
        ("\n", "\r\n"),
    ],
)
def test_meaning_leaves_out_what_needs_no_restart(before: str, after: str) -> None:
    changed = UNIT.replace(before, after)

    assert changed != UNIT
    assert meaning(changed) == meaning(UNIT)
    assert config_hash(changed) == config_hash(UNIT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("After=a.service\n", ""),
        ("After=a.service", "Before=a.service"),
        ("After=a.service\nAfter=b.service", "After=b.service\nAfter=a.service"),
        ("[Service]", "[Socket]"),
        ("--c", "--d"),
        ("Environment=\n", ""),
        ("A=b=c", "A=b=c d"),
        ("[Service]", "[Service]\nType=notify"),
        ("[Service]", "[Container]\nLabel=io.modelgrid.model=a\n[Service]"),
        ("[Service]", "Service"),
    ],
)
def test_meaning_differs_by_everything_else(before: str, after: str) -> None:
    changed = UNIT.replace(before, after)

    assert meaning(changed) != meaning(UNIT)
    assert config_hash(changed) != config_hash(UNIT)


@given(st.text())
def test_every_text_has_a_meaning(text: str) -> None:
    assert meaning(text) == meaning(text)
    assert len(config_hash(text)) == 64


def test_hash_in_the_file_of_a_model_is_that_of_the_file() -> None:
    files = {unit_name(artifact.path): artifact.content for artifact in emit(samples.FULL)}
    for model in samples.FULL.servers:
        text = files[model.unit]

        assert parse_unit(text)["X-ModelGrid", "ConfigHash"] == (config_hash(text),)
