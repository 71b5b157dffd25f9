from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from tests.machine.archive import KEYRING, apt_line

if TYPE_CHECKING:
    from pathlib import Path

DEB822 = """\
# a comment with Types: deb
Types: deb deb-src
# another
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/mine.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""

ONE_LINE = """\
deb-src http://mirror.example/source bookworm main
deb http://mirror.example/contrib bookworm contrib # not main
deb [arch=amd64 signed-by=/usr/share/keyrings/mine.gpg] http://mirror.example/debian bookworm main contrib
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian 12 without any source."""
    monkeypatch.delenv("MODELGRID_TEST_MIRROR", raising=False)
    release = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(("name", "text"), [("sources.list.d/a.sources", DEB822), ("sources.list", ONE_LINE)])
def test_mirror_is_the_one_that_the_host_has_its_own_suite_from(host: Path, name: str, text: str) -> None:
    (host / "etc/apt" / name).write_text(text, encoding="utf-8")

    line = "deb [signed-by=/usr/share/keyrings/mine.gpg] http://mirror.example/debian trixie main"
    assert apt_line("trixie", host) == line


@pytest.mark.parametrize("text", [DEB822.replace("Types: deb", "Enabled: no\nTypes: deb"), DEB822.replace("main", "x")])
def test_source_that_is_switched_off_or_has_no_main_is_passed_over(host: Path, text: str) -> None:
    (host / "etc/apt/sources.list.d/a.sources").write_text(text, encoding="utf-8")

    assert apt_line("trixie", host) is None


def test_keyring_is_debians_own_where_the_source_names_none(host: Path) -> None:
    text = DEB822.replace("Signed-By: /usr/share/keyrings/mine.gpg\n", "")
    (host / "etc/apt/sources.list.d/a.sources").write_text(text, encoding="utf-8")

    assert apt_line("trixie", host) == f"deb [signed-by={KEYRING}] http://mirror.example/debian trixie main"


def test_mirror_of_the_environment_goes_first(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELGRID_TEST_MIRROR", "http://other.example/debian")
    (host / "etc/apt/sources.list").write_text(ONE_LINE, encoding="utf-8")

    assert apt_line("forky", host) == f"deb [signed-by={KEYRING}] http://other.example/debian forky main"
