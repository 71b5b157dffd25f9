from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import need, require_modules, require_tools

REPOSITORY = Path(__file__).resolve().parents[1]

SKIPPING = {
    "a skip in the test": "import pytest\ndef test_it() -> None:\n    pytest.skip('no moon')\n",
    "a skip mark": "import pytest\n@pytest.mark.skip(reason='no moon')\ndef test_it() -> None: ...\n",
    "a conditional mark": "import pytest\n@pytest.mark.skipif(True, reason='no moon')\ndef test_it() -> None: ...\n",
    "a skip in a fixture": (
        "import pytest\n@pytest.fixture\ndef moon() -> None:\n    pytest.skip('no moon')\n"
        "def test_it(moon) -> None: ...\n"
    ),
    "a skipped module": "import pytest\npytest.skip('no moon', allow_module_level=True)\n",
}


def run_pytest(folder: Path, *, require_all: bool) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text("from tests.conftest import *\n", encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MODELGRID_", "PYTEST_"))}
    environment |= {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    if require_all:
        environment["MODELGRID_REQUIRE_ALL"] = "1"
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-ra",
        "--continue-on-collection-errors",
        "-p",
        "no:cacheprovider",
        str(folder),
    ]
    return subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, timeout=60)


@pytest.fixture(scope="module")
def skipping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("skipping")
    for name, text in SKIPPING.items():
        (folder / f"test_{name.replace(' ', '_')}.py").write_text(text, encoding="utf-8")
    return folder


def test_skip_passes_locally_and_says_its_reason(skipping: Path) -> None:
    process = run_pytest(skipping, require_all=False)

    assert process.stdout.count("no moon") == len(SKIPPING)
    assert f"{len(SKIPPING)} skipped" in process.stdout


def test_skip_fails_where_everything_is_required(skipping: Path) -> None:
    process = run_pytest(skipping, require_all=True)

    assert process.returncode != 0
    assert "skipped" not in process.stdout.splitlines()[-1]
    assert process.stdout.count("a skip is a failure") >= len(SKIPPING)


def test_expected_failure_stays_one_where_everything_is_required(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_it() -> None:\n    raise ValueError\n"
    (tmp_path / "test_it.py").write_text(text, encoding="utf-8")
    process = run_pytest(tmp_path, require_all=True)

    assert process.returncode == 0, process.stdout
    assert "1 xfailed" in process.stdout


def test_missing_tool_is_named_with_the_package_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pytest.skip.Exception, match="needs systemd-nspawn: apt install systemd-container"):
        require_tools("systemd-nspawn")


def test_missing_module_is_named_with_the_extra_that_brings_it() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"pip install 'modelgrid\[local\]'"):
        require_modules("no_such_module", extra="local")


def test_need_says_what_and_how() -> None:
    with pytest.raises(pytest.skip.Exception, match="needs the moon: wait for the night"):
        need("the moon", way="wait for the night")
