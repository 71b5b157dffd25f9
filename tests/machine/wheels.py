"""ModelGrid's wheel, and the wheels of what it depends on, for the Python of a machine that reaches no registry."""

from __future__ import annotations

import platform
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from tests.machine.cache import REPOSITORY, cached, fetch
from tests.requirements import require_modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What goes into our wheel, besides `pyproject.toml` and what it names.
SOURCES = ("modelgrid", "templates", "schemas")


def dependencies() -> list[str]:
    """What ModelGrid depends on, and the embedded engine, as its ``pyproject.toml`` says it."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    engine = [item for item in project["optional-dependencies"]["local"] if "gguf" not in item]
    return sorted(map(str, (*project["dependencies"], *engine)))


def dependency_wheels(python: str) -> Path:
    """A folder with the wheels of `dependencies`, and of theirs, for CPython *python* ("3.13") on Linux."""
    requirements = dependencies()
    machine = platform.machine()

    def download(path: Path) -> None:
        require_modules("pip", extra="dev")
        abi = f"cp{python.replace('.', '')}"
        # glibc 2.17 (manylinux2014) and 2.28: what wheels are built for; a Debian with a new Python has a newer one
        platforms = [f"manylinux_2_28_{machine}", f"manylinux_2_17_{machine}", f"manylinux2014_{machine}"]
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--python-version={python}"]
        argv += ["--implementation=cp", *(f"--abi={name}" for name in (abi, "abi3", "none"))]
        argv += [*(f"--platform={name}" for name in platforms), f"--dest={path}", *requirements]
        fetch(argv, what=f"wheels for Python {python}")

    return cached(f"wheels-{python}-{machine}", requirements, download)


def own_wheel() -> Path:
    """A folder with one file, the wheel of the working tree as it is now."""

    def build(path: Path) -> None:
        require_modules("build", extra="dev")
        argv = [sys.executable, "-m", "build", "--wheel", f"--outdir={path}", str(REPOSITORY)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    return cached("modelgrid", _source_texts(), build)


def _source_texts() -> Iterator[str]:
    """The name and the content of every file that `own_wheel` is made from."""
    files = [REPOSITORY / "pyproject.toml"]
    for folder in SOURCES:
        files += sorted(path for path in (REPOSITORY / folder).rglob("*") if path.is_file())
    for file in files:
        if "__pycache__" not in file.parts:
            yield str(file.relative_to(REPOSITORY))
            yield file.read_bytes().decode("latin-1")
