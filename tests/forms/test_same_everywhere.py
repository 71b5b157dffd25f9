"""The bytes of every form follow from the file and the facts alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelgrid.forms import FORMS

ROOT = Path(__file__).parents[2]

#: What differs from one machine to another, and must not count.
SURROUNDINGS = [
    {"PYTHONHASHSEED": "1", "TZ": "UTC", "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "umask": "000"},
    {"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "1", "umask": "077"},
]

#: All forms in one interpreter: its start would cost more than they do.
SCRIPT = """
import os, sys
from modelgrid.cli import main
file, facts, output, umask, *forms = sys.argv[1:]
os.umask(int(umask, 8))
for form in forms:
    assert main(["compile", file, "--facts", facts, "--as", form, "-o", output + "/" + form]) == 0
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[bytes, int]]]:
    found = []
    for number, surroundings in enumerate(SURROUNDINGS):
        folder = tmp_path_factory.mktemp(f"place {number}")
        arguments = [str(ROOT / "examples/vllm/modelgrid.yaml"), str(ROOT / "examples/hosts/nixos01.yaml"), str(folder)]
        subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments, surroundings["umask"], *FORMS],
            check=True,
            capture_output=True,
            cwd=folder,
            env={**os.environ, **surroundings, "PYTHONPATH": str(ROOT)},
        )
        files = [path for path in folder.rglob("*") if path.is_file()]
        found.append(
            {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o777) for path in files}
        )
    return found


def test_every_form_is_the_same_whatever_surrounds_it(outputs: list[dict[str, tuple[bytes, int]]]) -> None:
    first, second = outputs

    assert {path.partition("/")[0] for path in first} == set(FORMS)
    assert first == second


def test_every_form_comes_with_its_checksums(outputs: list[dict[str, tuple[bytes, int]]]) -> None:
    for form in FORMS:
        listed = outputs[0][f"{form}/SHA256SUMS"][0].decode()
        names = {path.removeprefix(f"{form}/") for path in outputs[0] if path.startswith(f"{form}/")}
        assert {line.partition("  ")[2] for line in listed.splitlines()} == names - {"SHA256SUMS"}


def test_forms_have_unix_line_ends_alone(outputs: list[dict[str, tuple[bytes, int]]]) -> None:
    assert not [path for path, (data, _) in outputs[0].items() if b"\r" in data]
