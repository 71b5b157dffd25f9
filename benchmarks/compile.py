"""How long compile and emit take for many models on 8 GPUs, how it grows, and how much memory that takes.

    python benchmarks/compile.py [--runs 3] [--models 100 1000 10000] [--on-demand 0.1] [--profile]

The grid is a mix: containers of several engines, one model in six a program of the host, a third without a GPU, some
with an alias or arguments, and some on demand, twice as large, which take turns on the GPUs where they must.
Of each size:

    child   `modelgrid compile` of the file as one process, from start to the written tree, and its peak memory
    inside  load, check, compile and emit in this process, whose imports are done

Seconds are those of the processor: one thread does it all, and other work of the machine does not count.
Budgets: 1,000 models in less than 2 s and 200 MB; ten times as many models in at most 12 times as long.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from modelgrid.compile import Context, compile_config
from modelgrid.config.check import check
from modelgrid.config.load import load
from modelgrid.emit import emit
from modelgrid.engines.builtin import builtin_engines
from modelgrid.engines.names import builtin_names
from modelgrid.host.facts import Gpu, HostFacts
from modelgrid.host.facts_file import dump_facts
from modelgrid.ir import Scope

ROOT = Path(__file__).resolve().parent.parent
GIB = 1024**3
FACTS = HostFacts(
    system="linux",
    distribution="debian",
    distribution_version="13",
    arch="x86_64",
    podman=(5, 4, 2),
    systemd=257,
    python="/opt/modelgrid/bin/python",
    programs=(("llama-server", "/usr/bin/llama-server"),),
    gpus=tuple(Gpu(index=index, uuid=f"GPU-{index:08x}", name="H100", memory=80 * GIB) for index in range(8)),
)
BASE = 'python -c "import pydantic, yaml"'


def grid(number: int, on_demand: float) -> str:
    """Return a configuration of *number* models, 10,000 of which have nearly all the values that a file may have."""
    lines = ["version: 1", "target: {facts: facts.yaml}", "gateway: {listen: '127.0.0.1:8080'}", "models:"]
    waiting = int(number * on_demand)
    memory = int(8 * 80 * 1024 * 0.8 / max(1, number - waiting))  # MiB: all that stay loaded fit
    for index in range(number):
        late = index < waiting
        size = f"vram: {min(memory, 8000) * (2 if late else 1)}MiB" + (", load: on-demand" if late else "")
        match index % 6:
            case 0:
                text = f"engine: llamacpp, source: /srv/models/m{index}.gguf, {size}, aliases: [alias-{index}]"
            case 1:
                text = f"engine: llamacpp, source: /srv/models/m{index}.gguf, {size}"
            case 2:
                text = f'engine: ollama, source: "llama3:8b-{index}", {size}'
            case 3:
                text = f"engine: vllm, source: hf://Org/Model-{index}, gpus: 0, args: {{max-num-seqs: 64}}"
            case 4:
                text = f"engine: llamacpp, runtime: native, source: /srv/m{index}.gguf, {size}"
            case _:
                text = f"engine: llamacpp, source: /srv/models/c{index}.gguf, gpus: 0"
        lines.append(f"  model-{index}: {{{text}}}")
    return "\n".join(lines) + "\n"


def inside(text: str, base: Path) -> int:
    """Compile and emit in this process; return how many files that makes."""
    document = load(text, file="modelgrid.yaml")
    config, report = check(document, engines=builtin_names(), base=base)
    assert config is not None, next(iter(report.errors))
    context = Context(
        facts=FACTS,
        scope=Scope.SYSTEM,
        engines=builtin_engines(),
        base=base,
        cache=Path("/var/lib/modelgrid/weights"),
        state_root=Path("/var/lib"),
        locate=document.locate,
        revision=lambda _: "",
        foreign=True,
    )
    deployment, report, _ = compile_config(config, context)
    assert deployment is not None, next(iter(report.errors))
    return len(emit(deployment))


def child(arguments: list[str]) -> tuple[float, float]:
    """Run Python with *arguments*; return its seconds of the processor and peak memory in MB (wait4(2))."""
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="the least of so many is shown")
    parser.add_argument("--models", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--on-demand", type=float, default=0.1, help="share of models that take turns")
    parser.add_argument("--profile", action="store_true", help="show where the largest size spends its time")
    options = parser.parse_args()
    base = min(child(["-c", "import pydantic, yaml"])[0] for _ in range(5))
    print(f"{base * 1000:8.0f} ms  {BASE}")
    before: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "facts.yaml").write_text(dump_facts(FACTS), encoding="utf-8")
        file = folder / "modelgrid.yaml"
        for number in options.models:
            text = grid(number, options.on_demand)
            file.write_text(text, encoding="utf-8")
            command = ["-m", "modelgrid", "compile", str(file), "-o", str(folder / "out")]
            whole = [child(command) for _ in range(options.runs)]
            within = []
            for _ in range(options.runs):
                start = time.process_time()
                files = inside(text, folder)
                within.append(time.process_time() - start)
            took = {"child": min(seconds for seconds, _ in whole), "inside": min(within)}
            growth = {kind: f" x {now / before[kind]:4.1f}" if before else "" for kind, now in took.items()}
            print(
                f"{number:6} models, {files} files: child {took['child']:6.2f} s{growth['child']},"
                f" {took['child'] / base:5.1f} times the imports, {max(memory for _, memory in whole):4.0f} MB;"
                f" inside {took['inside']:6.2f} s{growth['inside']}"
            )
            before = took
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(inside, text, folder)
            pstats.Stats(profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
