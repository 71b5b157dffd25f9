from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from modelgrid.forms import nix_text, yaml_text
from tests.emit.strategies import examples, special
from tests.requirements import require_tools

if TYPE_CHECKING:
    from pathlib import Path

#: Lines of what Nix and YAML treat specially.
_FRAGMENTS = r"""' '' ''' ${ $${ $ ''$ ''\n \ \n " # - : | > --- ... %TAG &a *a ! { } [ @ ` ~ a é 🦙""".split()  # noqa: SIM905  quotes around each would hide it
_SPACES = ["", " ", ": ", "- ", " #", "    ", "\t", "\r", "\u2028", "\x85", "\ufeff"]
_lines = st.lists(st.sampled_from([*_FRAGMENTS, *_SPACES]), max_size=4).map("".join)
_blocks = st.one_of(
    st.lists(st.one_of(_lines, special), max_size=5).map(lambda lines: "".join(f"{line}\n" for line in lines)),
    st.lists(_lines, max_size=5).map("\n".join),
    # neither Nix nor YAML can have NUL or half a character; no unit has them
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)


@given(text=_blocks, indent=st.integers(1, 9))
@example(text="a\n  b\n\n\tc\n", indent=4)
def test_yaml_gives_every_text_back(text: str, indent: int) -> None:
    document = f"a:\n  - b: {yaml_text.block(text, indent=4 + indent)}\n    c: {yaml_text.scalar(text)}\nd: e\n"

    assert yaml.safe_load(document) == {"a": [{"b": text, "c": text}], "d": "e"}


def test_units_are_readable_blocks() -> None:
    text = "[Unit]\nDescription=ModelGrid's ${x}\n\n[Service]\n"

    assert yaml_text.block(text, indent=2) == "|\n  [Unit]\n  Description=ModelGrid's ${x}\n\n  [Service]"
    assert nix_text.block(text, indent=2) == "''\n  [Unit]\n  Description=ModelGrid's ''${x}\n\n  [Service]\n''"


@pytest.mark.tools
def test_nix_gives_every_text_back(tmp_path: Path) -> None:
    require_tools("nix-instantiate")
    texts = examples(_blocks, 500)
    # an indented string may not end the line that Nix is at
    values = "\n".join(f"({nix_text.block(text, indent=4)}) ({nix_text.string(text)})" for text in texts)
    file = tmp_path / "texts.nix"
    file.write_text(f"[\n{values}\n]\n", encoding="utf-8", newline="\n")

    assert nix_eval(file) == [text for text in texts for _ in range(2)]


def nix_eval(file: Path) -> object:
    argv = ["nix-instantiate", "--eval", "--strict", "--json", str(file)]
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
