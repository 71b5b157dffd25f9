"""The parser of one command says and reads the same as that of all."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from modelgrid.cli.parser import build_parser

COMMANDS = (
    ["check", "x.yaml", "--strict", "--format", "json"],
    ["--debug", "compile", "-o", "out", "--as", "nixos"],
    ["service", "logs", "-f"],
    ["container", "start", "llama3:8b"],
    ["config", "init"],
    ["explain", "MG2001"],
)


def read(words: list[str], *, chosen: bool) -> dict[str, Any]:
    found = vars(build_parser(words if chosen else None).parse_args(words))
    found.pop("run")
    return found


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    choices: dict[str, argparse.ArgumentParser] = action.choices
    return choices


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_is_read_alike_alone_and_among_all(words: list[str]) -> None:
    assert read(words, chosen=True) == read(words, chosen=False)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_that_is_named_is_the_only_one_built(words: list[str]) -> None:
    (name, one), *others = subparsers(build_parser(words)).items()

    assert not others
    assert one.format_help() == subparsers(build_parser())[name].format_help()


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"], ["moon"], ["moon", "check"]], ids=str)
def test_without_a_command_that_exists_all_are_known(words: list[str]) -> None:
    assert subparsers(build_parser(words)).keys() == subparsers(build_parser()).keys()


@pytest.mark.parametrize(("columns", "longest"), [("60", 60), ("200", 200), ("", 80), ("x", 80), ("0", 80)])
def test_help_is_as_wide_as_the_terminal(columns: str, longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    widths = [len(line) for line in subparsers(build_parser(["check"]))["check"].format_help().splitlines()]

    assert max(widths) <= longest


@pytest.mark.parametrize("words", [["--keep", "-1"], ["--keep", "x"], ["--keep-for", "90"], ["--keep-for", "soon"]])
def test_what_is_no_count_or_no_age_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["apply", *words])
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_an_age_is_read_as_a_duration() -> None:
    assert build_parser().parse_args(["apply", "--keep-for", "90d"]).keep_for == 90 * 86400
