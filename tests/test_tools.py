from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools import SUITES, quadlet_generator, systemd_analyze_security, systemd_analyze_verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.tools, pytest.mark.parametrize("suite", SUITES)]

CONTAINER = "[Container]\nImage=localhost/a:1\n[Install]\nWantedBy=multi-user.target\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return folder


def test_generator_makes_a_unit_of_a_quadlet(suite: str, tmp_path: Path) -> None:
    result = quadlet_generator(suite)(write(tmp_path, a_container=CONTAINER))

    assert result.returncode == 0
    assert "---a.service---" in result.stdout
    assert "podman run" in result.stdout


def test_generator_refuses_a_key_that_it_does_not_know(suite: str, tmp_path: Path) -> None:
    result = quadlet_generator(suite)(write(tmp_path, a_container=CONTAINER, b_container="[Container]\nMoon=1\n"))

    assert result.returncode != 0
    assert "unsupported key 'Moon'" in result.stderr


def test_verify_is_silent_about_units_without_a_fault(suite: str, tmp_path: Path) -> None:
    units, quadlets = tmp_path / "units", tmp_path / "quadlets"
    units.mkdir()
    quadlets.mkdir()
    write(quadlets, a_container=CONTAINER)
    write(units, b_service="[Unit]\nRequires=a.service\n[Service]\nExecStart=/usr/local/bin/modelgrid\n")
    result = systemd_analyze_verify(suite, units, quadlets=quadlets)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[Unit]\nRequires=missing.service\n[Service]\nExecStart=/bin/true\n", "Unit missing.service not found"),
        ("[Service]\nMoon=1\nExecStart=/bin/true\n", "Unknown key 'Moon'"),
        ("[Service]\nExecStart=/nowhere/program\n", "is not executable"),
    ],
)
def test_verify_says_what_is_wrong_with_a_unit(suite: str, tmp_path: Path, text: str, fault: str) -> None:
    result = systemd_analyze_verify(suite, write(tmp_path, b_service=text))

    assert fault in result.stderr


def test_security_tells_exposed_from_locked_up(suite: str, tmp_path: Path) -> None:
    unit = write(tmp_path, b_service="[Service]\nExecStart=/bin/true\n") / "b.service"

    assert systemd_analyze_security(suite, unit, threshold=90).returncode != 0
    assert systemd_analyze_security(suite, unit, threshold=100).returncode == 0
