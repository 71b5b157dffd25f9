"""Greenlists and configurations for the tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from modelgrid.config.check import check
from modelgrid.config.load import load
from modelgrid.greenlist import Gate
from modelgrid.host.facts import Gpu

if TYPE_CHECKING:
    from pathlib import Path

    from modelgrid.config.schema import Config
    from modelgrid.diagnostics import Diagnostic, Report

ENGINES = ("custom", "llamacpp", "ollama", "vllm")
GIB = 1024**3


def rule(name: str = "llama3:8b", container: str = "ollama", vram: Any = 8) -> dict[str, Any]:
    return {"name": name, "container": container, "minVram": vram}


def greenlist(*rules: Any) -> str:
    """One rule a line, the first on line 2."""
    lines = ",\n".join(json.dumps(item) for item in rules)
    return f'{{"version": "1.0", "models": [\n{lines}\n]}}\n'


def held(models: str, text: str, folder: Path, *, section: str = "") -> tuple[Config | None, Report, Gate]:
    """Check *models*, whose first line is line 3, against the greenlist *text*."""
    (folder / "list.json").write_text(text, encoding="utf-8")
    section = section or "source: list.json"
    document = load(f"version: 1\ngreenlist: {{{section}}}\nmodels:\n{models}\n", file="grid.yaml")
    gate = Gate(document, base=folder)
    config, report = check(document, engines=ENGINES, also=gate.check)
    return config, report, gate


def places(report: Report) -> list[tuple[str, str, list[str]]]:
    """Return code, place and related places of each diagnostic."""
    return [(item.code, str(item.location), related(item)) for item in report]


def related(item: Diagnostic) -> list[str]:
    return [str(other.location) for other in item.related]


def gpu(index: int, gib: float) -> Gpu:
    return Gpu(index=index, uuid=f"GPU-{index}", name="card", memory=int(gib * GIB))
