"""``check`` is run by editors and hooks: it imports no more than it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Modules that cost more than a millisecond and that reading a sound file has no use for.
SLOW = {
    "asyncio",
    "cattrs",
    "difflib",
    "email",
    "httpx",
    "importlib.metadata",
    "jinja2",
    "json",
    "socket",
    "unicodedata",
}

SCRIPT = """
import sys
from modelgrid.config.load import load
from modelgrid.config.check import check
from modelgrid.engines.names import builtin_abilities
document = load("version: 1\\nmodels: {a: {engine: vllm, source: ./w}}\\n", file="x")
config, report = check(document, engines=["vllm"], abilities=builtin_abilities)
assert config is not None and not report
print(*sorted(name for name in sys.modules if not name.startswith("encodings")))
"""


def test_a_sound_file_is_checked_without_slow_imports() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(ran.stdout.split())

    assert "pydantic" in imported
    assert sorted(imported & SLOW) == []


def test_whoever_wants_more_of_pydantics_plugins_gets_the_real_thing() -> None:
    script = f"{SCRIPT}\nfrom pydantic.plugin._loader import PYDANTIC_ENTRY_POINT_GROUP as group; print(group)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines()[-1] == "pydantic"
