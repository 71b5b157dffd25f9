"""The files around the package: shell scripts, the flake, the changelog."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from modelgrid import __version__
from tests.requirements import require_tools

ROOT = Path(__file__).parent.parent
SHELL_SCRIPTS = [
    path
    for folder in (ROOT / "scripts", ROOT / ".ci")
    for path in sorted(folder.iterdir())
    if path.read_bytes().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash"))
]


@pytest.mark.tools
@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_pass_shellcheck(script: Path) -> None:
    require_tools("shellcheck")
    checked = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
    assert checked.stdout == ""


def test_there_are_shell_scripts_to_check() -> None:
    assert {"install", "run"} <= {path.name for path in SHELL_SCRIPTS}


@pytest.mark.tools
def test_nix_understands_the_flake() -> None:
    require_tools("nix-instantiate")
    parsed = subprocess.run(
        ["nix-instantiate", "--parse", str(ROOT / "flake.nix")], capture_output=True, text=True, check=False
    )
    assert parsed.returncode == 0, parsed.stderr


def test_the_changelog_has_the_version_or_an_unreleased_part() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{__version__}]" in changelog or "## [Unreleased]" in changelog
