"""The built wheel, in an environment of its own and far from the checkout, does what the README says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine.wheels import own_wheel
from tests.requirements import require_modules

pytestmark = pytest.mark.local

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_modules("build", extra="dev")
    (wheel,) = own_wheel().glob("*.whl")
    venv = tmp_path_factory.mktemp("wheel") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run(
        [str(venv / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", f"{wheel}[local]"], check=True
    )
    return venv / "bin/modelgrid"


def run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # nothing of this checkout or of the environment that runs the tests may help
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(program), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_check_compile_and_schema_work_outside_the_checkout(program: Path, tmp_path: Path) -> None:
    example = tmp_path / "modelgrid.yaml"
    example.write_text((ROOT / "examples/demo/modelgrid.yaml").read_text("utf-8"), encoding="utf-8")
    assert run(program, "check", "modelgrid.yaml", cwd=tmp_path).returncode == 0
    compiled = run(program, "compile", "modelgrid.yaml", "-o", "out", cwd=tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    assert (tmp_path / "out/units/modelgrid-gateway.service").is_file()
    schema = run(program, "schema", cwd=tmp_path)
    assert schema.stdout == (ROOT / "schemas/modelgrid.schema.json").read_text("utf-8")


def test_up_answers_from_a_real_model(program: Path, tmp_path: Path) -> None:
    example = tmp_path / "modelgrid.yaml"
    example.write_text((ROOT / "examples/demo/modelgrid.yaml").read_text("utf-8"), encoding="utf-8")
    answered = run(program, "up", "modelgrid.yaml", "--ask", "Say hello.", "--once", cwd=tmp_path)
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.strip()
