"""scripts/install on machines that lack something: one sentence, and exit code 3. Its programs are fakes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.requirements import need

ROOT = Path(__file__).parent.parent
#: What the script runs besides Python and pip.
TOOLS = ("dirname", "find", "grep", "rm", "tail", "touch", "uname")
INTERPRETER = """\
#!/bin/sh
case "$1 $2" in
"--version ") echo "Python 3.{minor}.2" ;;
"-c "*) [ {minor} -ge 11 ] ;;
"-m venv") {venv} ;;
*) echo "unexpected: $*" >&2; exit 99 ;;
esac
"""
#: Makes an environment whose pip is the file `pip` beside this interpreter.
MAKES_VENV = 'mkdir -p "$3/bin" && cp "${0%/*}/pip" "$3/bin/pip" && cp "$0" "$3/bin/python"'
NO_NETWORK = """\
#!/bin/sh
echo "WARNING: Retrying after connection broken by 'NewConnectionError(...)': /simple/pydantic/" >&2
echo "ERROR: Could not find a version that satisfies the requirement pydantic>=2.10" >&2
exit 1
"""
NO_SPACE = """\
#!/bin/sh
for line in 1 2 3 4 5 6; do echo "line $line" >&2; done
echo "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device" >&2
exit 1
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, what it reads, and a `bin` that has no Python yet."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "scripts/install", tmp_path / "scripts/install")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    for tool in (*TOOLS, "cp", "mkdir"):
        found = shutil.which(tool)
        if found is None:
            need(tool, way="run it on a POSIX system")
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def program(checkout: Path, name: str, text: str) -> None:
    file = checkout / "bin" / name
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)


def interpreter(checkout: Path, *, minor: int = 11, venv: str = MAKES_VENV) -> None:
    program(checkout, "python3", INTERPRETER.format(minor=minor, venv=venv))


def install(checkout: Path, what: str = "local") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(checkout / "scripts/install"), what],
        env={"PATH": str(checkout / "bin")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def sentence(checkout: Path) -> str:
    """Install, which must fail with one line on stderr; return what stands there behind our name."""
    done = install(checkout)
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("modelgrid: ")
    assert not (checkout / ".venv/.local").exists()
    return line.removeprefix("modelgrid: ")


def test_without_python_it_says_which_one_to_install(checkout: Path) -> None:
    assert sentence(checkout) == "there is no python3; install Python 3.11 or newer, or name one with PYTHON=..."


def test_an_old_python_is_named_with_its_version(checkout: Path) -> None:
    interpreter(checkout, minor=10)
    assert sentence(checkout) == ("Python 3.10.2 is too old; install Python 3.11 or newer, or name one with PYTHON=...")


def test_a_python_without_venv_is_told_the_package_that_has_it(checkout: Path) -> None:
    interpreter(checkout, venv="echo 'No module named venv' >&2; exit 1")
    assert sentence(checkout) == (
        "python3 cannot make a virtual environment; on Debian and Ubuntu install python3-venv"
    )


def test_no_network_is_told_from_other_faults_of_pip(checkout: Path) -> None:
    interpreter(checkout)
    program(checkout, "pip", NO_NETWORK)
    assert sentence(checkout) == (
        "cannot install the packages: the package index did not answer; check the network and run this again"
    )


def test_another_fault_of_pip_shows_its_last_lines_and_where_the_log_is(checkout: Path) -> None:
    interpreter(checkout)
    program(checkout, "pip", NO_SPACE)
    done = install(checkout)
    assert done.returncode == 3
    *last, ours = done.stderr.splitlines()
    assert len(last) == 5
    assert "No space left on device" in last[-1]
    assert ours == "modelgrid: cannot install the packages; the whole log is .venv/install.log"
    assert "line 1" in (checkout / ".venv/install.log").read_text(encoding="utf-8")


def test_what_was_installed_is_not_installed_again_until_the_project_changes(checkout: Path) -> None:
    interpreter(checkout)
    python = (checkout / "bin/python3").read_text(encoding="utf-8")
    program(checkout, "python3", python.replace("*) echo", '"-m compileall") ;;\n*) echo'))
    program(checkout, "pip", '#!/bin/sh\necho "$*" >>pip.calls\n')
    calls = checkout / "pip.calls"

    assert install(checkout).returncode == 0
    assert calls.read_text(encoding="utf-8").splitlines()[0].endswith("-e .[local]")
    first = calls.read_text(encoding="utf-8")
    assert install(checkout).returncode == 0
    assert calls.read_text(encoding="utf-8") == first

    (checkout / "pyproject.toml").touch()
    assert install(checkout).returncode == 0
    assert calls.read_text(encoding="utf-8") == first * 2
