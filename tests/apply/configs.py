"""Configurations, compiled as the commands do, for hosts that no test has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.cli.pipeline import Checked, check_file, compile_checked, emit_compiled
from modelgrid.host.facts import Gpu, HostFacts
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from pathlib import Path

    from modelgrid.emit.artifact import Artifact

GIB = 1024**3

FACTS = HostFacts(
    system="linux",
    distribution="debian",
    distribution_version="13",
    arch="x86_64",
    podman=(5, 4, 2),
    systemd=257,
    python="/opt/modelgrid/bin/python",
    programs=(
        ("llama-server", "/usr/local/bin/llama-server"),
        ("podman", "/usr/bin/podman"),
        ("python3", "/usr/bin/python3"),
    ),
    gpus=tuple(Gpu(index=index, uuid=f"GPU-{index}", name="NVIDIA L4", memory=24 * GIB) for index in range(2)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A configuration and the tree that comes of it."""

    checked: Checked
    tree: tuple[Artifact, ...]


def compiled(text: str, folder: Path, *, facts: HostFacts = FACTS) -> Compiled:
    """Write *text* to modelgrid.yaml in *folder*, check it and compile it for the host of *facts*."""
    file = folder / "modelgrid.yaml"
    file.write_text(text, encoding="utf-8")
    checked = check_file(str(file), local=False)
    found = compile_checked(checked, facts=facts, scope=Scope.SYSTEM, foreign=True)
    return Compiled(checked=checked, tree=emit_compiled(checked, found))
