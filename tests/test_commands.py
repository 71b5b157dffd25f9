"""Commands that texts name exist: the README's table, and every hint and message."""

from __future__ import annotations

import argparse
import ast
import re
from functools import cache
from pathlib import Path

import pytest

from modelgrid.cli.parser import build_parser

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"(?<![\w./@-])modelgrid ([a-z]+)(?: ([a-z]+))?")
#: Sentences about ModelGrid itself, in which a verb follows.
PROSE = {"another modelgrid is changing", "this installation of modelgrid has no"}


@cache
def commands() -> frozenset[tuple[str, ...]]:
    """Every command as its words: ``("plan",)``, ``("key", "new")``."""
    return frozenset(paths(build_parser()))


def paths(parser: argparse.ArgumentParser) -> list[tuple[str, ...]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        return [()]
    return [(name, *rest) for group in groups for name, inner in group.choices.items() for rest in paths(inner)]


def is_command(first: str, second: str) -> bool:
    return (first,) in commands() or (first, second) in commands()


def texts() -> list[tuple[str, str]]:
    """Every string literal of the package and every template, with its place."""
    found = [
        (f"{file.relative_to(ROOT)}:{node.lineno}", node.value)
        for file in sorted((ROOT / "modelgrid").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    files = [path for folder in ("templates", "examples") for path in (ROOT / folder).rglob("*") if path.is_file()]
    found += [(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")) for file in sorted(files)]
    return found


def named(text: str) -> list[tuple[str, str]]:
    """Return the first words of every command that *text* names."""
    for sentence in PROSE:
        text = text.replace(sentence, "")
    return [(match[1], match[2] or "") for match in NAMED.finditer(text)]


def test_every_command_that_a_message_or_a_template_names_exists() -> None:
    assert [(place, words) for place, text in texts() for words in named(text) if not is_command(*words)] == []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("run: modelgrid plan", True),
        ("`modelgrid key new NAME` makes one", True),
        ("modelgrid key", False),
        ("`modelgrid key make`", False),
        ("use modelgrid deploy", False),
    ],
)
def test_a_command_that_does_not_exist_would_be_found(text: str, *, good: bool) -> None:
    (words,) = named(text)
    assert is_command(*words) is good


def test_messages_name_commands_at_all() -> None:
    assert {("key", "new"), ("up", "runs")} <= {words for _, text in texts() for words in named(text)}


def test_the_table_of_the_readme_has_every_command_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = readme.partition("| Command |")[2].partition("\n\n")[0].splitlines()[2:]
    entries = {tuple(entry.split()) for row in rows for entry in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert [entry for entry in entries if not any(path[: len(entry)] == entry for path in commands())] == []
    # a group that is named stands for all of its commands
    assert [path for path in commands() if not any(path[: len(entry)] == entry for entry in entries)] == []
