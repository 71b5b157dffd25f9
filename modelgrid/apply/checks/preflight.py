"""Asks the host's own tools about a tree before anything of it is written below /etc.

The tree is staged in a temporary folder of its own. podman's generator makes services of the quadlets there, as it
will at daemon-reload, and ``systemd-analyze verify`` reads those and the plain units together.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.checks.blame import refusal
from modelgrid.apply.process import NOT_FOUND, TIMED_OUT
from modelgrid.emit.artifact import QUADLETS, UNITS
from modelgrid.emit.names import unit_name
from modelgrid.errors import HostError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.process import Completed, Processes
    from modelgrid.apply.store.files import FileSystem
    from modelgrid.emit.artifact import Artifact

#: Where systemd looks for generators, in its order (systemd.generator(7)).
_GENERATOR_FOLDERS = ("/run/systemd", "/etc/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")

_HEADING = re.compile(r"^---(?P<name>[^\n]+)---\n", re.MULTILINE)


def check_stage(host: Host, artifacts: Sequence[Artifact]) -> None:
    """Stage *artifacts* in a temporary folder and let the host's generator and systemd-analyze judge them.

    Raises:
        HostError: a tool that is needed for that is missing.
        ConfigError: a tool refuses what came of the configuration; the report has the path of each part.
        InternalError: a tool refuses what ModelGrid made; the message quotes it.
    """
    with tempfile.TemporaryDirectory(prefix="modelgrid-") as name:
        stage = Path(name)
        units = stage / UNITS
        for folder in (stage / QUADLETS, units):
            folder.mkdir()
        for item in artifacts:
            if item.path.startswith((f"{QUADLETS}/", f"{UNITS}/")):
                (stage / item.path).write_text(item.content, encoding="utf-8", newline="\n")
        quadlets = [
            unit
            for item in artifacts
            if item.path.startswith(f"{QUADLETS}/") and (unit := unit_name(item.path)) is not None
        ]
        made: Mapping[str, str] = {}
        if quadlets:
            made = _generated(host, stage / QUADLETS, quadlets, artifacts)
            for unit, text in made.items():
                (units / unit).write_text(text, encoding="utf-8", newline="\n")
        _verify(host, stage, sorted(units.iterdir()), artifacts, made)


def find_generator(files: FileSystem, scope: Scope) -> str | None:
    """Return podman's generator for *scope* on the host of *files*; none where it is missing."""
    for folder in _GENERATOR_FOLDERS:
        path = Path(folder) / f"{scope.value}-generators" / f"podman-{scope.value}-generator"
        if files.kind(path) is not None:
            return str(path)
    return None


def generate(processes: Processes, generator: str, folder: Path, scope: Scope) -> tuple[Completed, Mapping[str, str]]:
    """Run *generator* on the quadlets in *folder*; return how it ended, and the text of every unit that it makes."""
    argv = [generator, "-dryrun", *(("-user",) if scope is Scope.USER else ())]
    done = processes.run(*argv, environment={"QUADLET_UNIT_DIRS": str(folder)})
    parts = _HEADING.split(done.stdout)
    return done, dict(zip(parts[1::2], parts[2::2], strict=True))


def _generated(host: Host, folder: Path, expected: Sequence[str], artifacts: Sequence[Artifact]) -> Mapping[str, str]:
    """Run podman's generator on *folder*; return the text of every unit that it makes."""
    scope = host.layout.scope
    generator = find_generator(host.files, scope)
    if generator is None:
        raise HostError(
            f"podman's generator for systemd (podman-{scope.value}-generator) is missing",
            hint="install the whole podman package of the distribution",
        )
    done, made = generate(host.processes, generator, folder, scope)
    faults = [line for line in done.stderr.splitlines() if line.strip() and "Loading source unit file" not in line]
    missing = sorted(set(expected) - made.keys())
    if done.returncode != 0 or faults or missing:
        said = [_plain(line, folder) for line in faults] or [f"it makes no {', '.join(missing)}"]
        raise refusal("podman's generator", "MG4041", said, artifacts, made)
    return made


def _verify(
    host: Host, stage: Path, units: Sequence[Path], artifacts: Sequence[Artifact], made: Mapping[str, str]
) -> None:
    """Let systemd read *units*. It exits with 0 for a key that it does not know: any line about ours is a fault."""
    scope = ("--user",) if host.layout.scope is Scope.USER else ()
    done = host.processes.run("systemd-analyze", *scope, "verify", "--man=no", *(str(unit) for unit in units))
    if done.returncode == NOT_FOUND:
        raise HostError("systemd-analyze is missing", hint="install the whole systemd package of the distribution")
    if done.returncode == TIMED_OUT:
        raise HostError(done.stderr, hint="see why with: systemd-analyze verify modelgrid.target")
    names = {unit.name for unit in units}
    lines = [line for line in (*done.stdout.splitlines(), *done.stderr.splitlines()) if line.strip()]
    faults = [line for line in lines if str(stage) in line or any(name in line for name in names)]
    # a unit of the host that ours only refer to may be faulty without ours being so
    if faults or (done.returncode != 0 and not lines):
        said = [_plain(line, stage) for line in faults] or [f"exit code {done.returncode}"]
        raise refusal("systemd-analyze verify", "MG4042", said, artifacts, made)


def _plain(line: str, folder: Path) -> str:
    """Return *line* without the temporary folder and the generator's own prefix."""
    return re.sub(r"^quadlet-generator\[\d+\]: ", "", line.strip()).replace(f"{folder}/", "")
