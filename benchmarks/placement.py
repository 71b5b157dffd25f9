"""How long placement takes for many models on 8 GPUs, and how it grows; no model has pins.

    python benchmarks/placement.py [RUNS]

Four mixes: all models find a place at once, by either strategy; half of them are too many; a case that takes search.
Prints the least time of each in milliseconds, and by what it grows from one size to the next, ten times as large.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from itertools import pairwise

from modelgrid.compile.placement import GpuRequest, Placement, Resident, Strategy, place
from modelgrid.host.facts import Gpu

GIB = 1024**3
GPUS = tuple(Gpu(index=index, uuid=f"GPU-{index}", name="H100", memory=80 * GIB) for index in range(8))


def mixed(number: int, filled: float) -> list[GpuRequest]:
    """A tenth always loaded, which take *filled* of all memory, and the rest on demand."""
    draw = random.Random(1)
    loaded = max(1, number // 10)
    sizes = [draw.uniform(0.5, 1.5) for _ in range(loaded)]
    scale = filled * sum(gpu.memory for gpu in GPUS) / sum(sizes)
    resident = [GpuRequest(model=f"a{n:05}", count=1, memory=int(size * scale)) for n, size in enumerate(sizes)]
    return resident + [
        GpuRequest(
            model=f"d{n:05}",
            count=draw.choice((1, 1, 1, 2, 4)),
            memory=draw.randint(1, 20) * GIB,
            resident=Resident.ON_DEMAND,
            shares=draw.random() < 0.5,
        )
        for n in range(number - loaded)
    ]


def too_many(number: int) -> list[GpuRequest]:
    """Always loaded, of distinct sizes, and twice what the GPUs hold."""
    size = 2 * sum(gpu.memory for gpu in GPUS) // number
    return [GpuRequest(model=f"m{n:05}", count=1, memory=size - n * 1000) for n in range(number)]


def full(number: int) -> list[GpuRequest]:
    """Each GPU cut into parts that fill it to the last byte, mixed."""
    draw = random.Random(number)
    sizes: list[int] = []
    for gpu in GPUS:
        cuts = sorted(draw.sample(range(1, gpu.memory // GIB * 16), number // len(GPUS) - 1))
        bounds = [0, *cuts, gpu.memory // GIB * 16]
        sizes += [(end - start) * GIB // 16 for start, end in pairwise(bounds)]
    return [GpuRequest(model=f"m{n:05}", count=1, memory=size) for n, size in enumerate(sizes)]


def timed(requests: list[GpuRequest], strategy: Strategy, runs: int) -> tuple[float, Placement]:
    least, placement = float("inf"), None
    for _ in range(runs):
        start = time.perf_counter()
        placement = place(requests, GPUS, strategy=strategy)
        least = min(least, (time.perf_counter() - start) * 1000)
    assert placement is not None
    return least, placement


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    many = (100, 1000, 10_000)
    cases = [
        *((f"room for all, {strategy.value}", [mixed(n, 0.6) for n in many], strategy) for strategy in Strategy),
        ("twice too many, binpack", [too_many(n) for n in many], Strategy.BINPACK),
        *((f"filled, {strategy.value}", [full(n) for n in (24, 40, 80, 160)], strategy) for strategy in Strategy),
    ]
    for name, sizes, strategy in cases:
        before = 0.0
        for requests in sizes:
            took, placement = timed(requests, strategy, runs)
            faults = Counter(fault.kind.value for fault in placement.faults)
            growth = f"  x {took / before:5.1f}" if before else " " * 9
            print(f"{name:24} {len(requests):6} models {took:9.1f} ms{growth}  {dict(faults) or ''}")
            before = took


if __name__ == "__main__":
    main()
