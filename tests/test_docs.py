"""What the documents show works: YAML blocks pass `check --strict`, commands are understood, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from modelgrid.cli import main
from modelgrid.cli.parser import build_parser

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND_LINE = re.compile(r"^    (modelgrid .*|make .*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def found(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    return [(document.name, match) for document in DOCUMENTS for match in pattern.findall(document.read_text("utf-8"))]


@pytest.mark.parametrize(("document", "block"), found(YAML_BLOCK))
def test_yaml_blocks_pass_check(document: str, block: str, tmp_path: Path) -> None:
    file = tmp_path / "modelgrid.yaml"
    # whether the weights exist is a question to the reader's host, not to the document
    file.write_text(block + "\ntarget: {facts: facts.yaml}\n", encoding="utf-8")
    (tmp_path / "facts.yaml").write_text((ROOT / "examples/hosts/cpu01.yaml").read_text("utf-8"), encoding="utf-8")
    assert main(["check", str(file), "--strict"]) == 0


@pytest.mark.parametrize(("document", "line"), found(COMMAND_LINE))
def test_commands_are_understood(document: str, line: str) -> None:
    program, *arguments = shlex.split(line, comments=True)
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert arguments[0] in targets
    else:
        assert callable(build_parser().parse_args(arguments).run)


@pytest.mark.parametrize(("document", "target"), found(LINK))
def test_links_lead_somewhere(document: str, target: str) -> None:
    folder = ROOT / "docs" if (ROOT / "docs" / document).exists() else ROOT
    assert (folder / target).exists()
