from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.requirements import require_linux

CI = Path(__file__).resolve().parents[1] / ".ci" / "run"


def test_ci_says_in_one_sentence_that_it_needs_debian(tmp_path: Path) -> None:
    require_linux()
    for name, text in {"id": "echo 0", "dirname": f"echo {CI.parent}"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    process = subprocess.run(
        ["/bin/bash", str(CI)], check=False, capture_output=True, text=True, env={"PATH": str(tmp_path)}
    )

    assert process.returncode == 1
    assert process.stderr == ".ci/run: run it on Debian: there is no apt-get here\n"


def test_ci_says_in_one_sentence_that_it_needs_root(tmp_path: Path) -> None:
    require_linux()
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n", encoding="utf-8")
    (tmp_path / "id").chmod(0o755)
    path = f"{tmp_path}:{os.defpath}"
    process = subprocess.run(["/bin/bash", str(CI)], check=False, capture_output=True, text=True, env={"PATH": path})

    assert process.returncode == 1
    assert process.stderr == ".ci/run: run it as root: it installs packages and boots machines\n"
