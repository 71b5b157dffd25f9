"""How long an `apply` takes that has nothing to do, beside `check` of the same file, and what it asks of the host.

    python benchmarks/apply.py [--runs 5] [--models 3 196] [--profile]
    sudo python benchmarks/apply.py --here FILE [--runs 5]

The first form needs no root: both run in this process, on the host of the tests, a folder with a systemd and a podman
that answer at once. Of each size it prints the least time of `check`, of `apply`, and what of the host was asked: calls
to systemd, programs started, files. The gateway, the target and others are units too: 196 models make 200.
The second form runs both commands on this host, where FILE is applied already, in turns.
Budgets: an `apply` that has nothing to do takes less than 0.5 s more than `check`; one of 200 units less than 2 s; it
writes nothing.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from modelgrid.apply.execute import apply  # noqa: E402  the tests' host is found only now
from modelgrid.apply.host import Host  # noqa: E402  the same
from modelgrid.cli.pipeline import check_file, compile_checked, emit_compiled  # noqa: E402  the same
from modelgrid.ir import Scope  # noqa: E402  the same
from tests.apply.configs import FACTS  # noqa: E402  the same
from tests.apply.equipment import equip  # noqa: E402  the same
from tests.apply.fakes import Machine  # noqa: E402  the same

if TYPE_CHECKING:
    from modelgrid.emit.artifact import Artifact


class Counted:
    """Counts the calls of everything that *inner* has, under *name*."""

    def __init__(self, inner: Any, name: str, calls: Counter[str]) -> None:
        self._inner, self._name, self._calls = inner, name, calls

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._inner, attribute)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._calls[f"{self._name}.{attribute}"] += 1
            return found(*arguments, **options)

        return call


def grid(number: int) -> str:
    """Return a configuration of *number* models: two thirds in containers, the rest programs of the host."""
    lines = ["version: 1", "gateway: {listen: '127.0.0.1:8080'}", "models:"]
    for index in range(number):
        runtime = ", runtime: native" if index % 3 == 2 else ""
        lines.append(
            f"  m{index}: {{engine: llamacpp, source: /srv/m{index}.gguf, gpus: 0, aliases: [a{index}]{runtime}}}"
        )
    return "\n".join(lines) + "\n"


def desired(file: Path) -> tuple[Artifact, ...]:
    """Return what `apply` compiles before it looks at the host."""
    checked = check_file(str(file), local=False)
    return emit_compiled(checked, compile_checked(checked, facts=FACTS, scope=Scope.SYSTEM, foreign=True))


def counting(host: Host, calls: Counter[str]) -> Host:
    """Return *host* with the calls to its seams counted."""
    return Host(
        layout=host.layout,
        files=Counted(host.files, "files", calls),
        systemd=Counted(host.systemd, "systemd", calls),
        processes=Counted(host.processes, "programs", calls),
        user=host.user,
        ask_gateway=host.ask_gateway,
        now=host.now,
        sleep=host.sleep,
    )


def measure(number: int, runs: int, *, profile: bool) -> None:
    """Print the figures of a grid of *number* models."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "root").mkdir()
        machine = Machine(folder / "root")
        file = folder / "modelgrid.yaml"
        file.write_text(grid(number), encoding="utf-8")
        tree = desired(file)
        equip(machine, tree)
        apply(tree, machine.host())
        before = machine.snapshot()
        machine.facts()
        times: dict[str, list[float]] = {"check": [], "compile": [], "apply": []}
        calls: Counter[str] = Counter()
        for _ in range(runs):
            start = time.perf_counter()
            check_file(str(file), local=False)
            checked = time.perf_counter()
            tree = desired(file)
            compiled = time.perf_counter()
            calls.clear()
            apply(tree, counting(machine.host(), calls))
            done = time.perf_counter()
            times["check"].append(checked - start)
            times["compile"].append(compiled - checked)
            times["apply"].append(done - compiled)
        if profile:
            with cProfile.Profile() as profiler:
                apply(desired(file), machine.host())
            pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
        same = machine.snapshot() == before and machine.facts() == []
        units = sum(item.path.startswith(("units/", "quadlets/")) for item in tree)
        check, compiling, applying = (min(times[step]) for step in ("check", "compile", "apply"))
        asked = {
            kind: sum(count for call, count in calls.items() if call.startswith(kind))
            for kind in ("systemd", "programs", "files")
        }
        written = "nothing" if same else "SOMETHING"
        print(
            f"{units:5} units: check {check * 1000:.0f} ms, apply {(compiling + applying) * 1000:.0f} ms"
            f" ({compiling * 1000:.0f} to the tree, {applying * 1000:.0f} on the host), {written} written;"
            f" {asked['systemd']} calls to systemd, {asked['programs']} programs, {asked['files']} of files"
        )


def measure_here(file: str, runs: int) -> None:
    """Print the least time of both commands on this host."""
    times: dict[str, list[float]] = {"check": [], "apply": []}
    for _ in range(runs):
        for command, taken in times.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "modelgrid", command, file], check=True, capture_output=True)
            taken.append(time.perf_counter() - start)
    check, applying = (min(taken) for taken in times.values())
    print(f"check {check:.2f} s, apply {applying:.2f} s: {applying - check:.2f} s more")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--models", type=int, nargs="+", default=[3, 196])
    parser.add_argument("--here", metavar="FILE")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.here:
        measure_here(options.here, options.runs)
        return
    for number in options.models:
        measure(number, options.runs, profile=options.profile)


if __name__ == "__main__":
    main()
