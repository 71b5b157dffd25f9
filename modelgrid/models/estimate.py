"""How much memory of the GPUs a model takes: weights, cache and what the engine needs beside them. Pure.

Engines differ in what a context is, and in what they set aside for it: see :class:`Habits`. All numbers are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from modelgrid.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.models.metadata import Layer, ModelMetadata

_MIB: Final = 1024**2
#: Bytes of a value in the state of layers without attention: llama.cpp keeps them as 32-bit numbers, and of vLLM's
#: that is the largest (`--mamba-ssm-cache-dtype`).
_STATE_VALUE: Final = 4
_LOGIT: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How an engine uses memory.

    Attributes:
        shares_context: a given context is for all requests together, and each gets its part (llama.cpp's
            ``--ctx-size``); else each request has all of it (vLLM's ``--max-model-len``).
        parallel: requests at once where the configuration does not say.
        pools: whether requests then have one cache together, not each a part of it.
        granule: tokens by which the cache of one request grows.
        batch: tokens that are computed at once. A sliding layer keeps those of a batch beside its window.
        activation: bytes of a value between layers while it is computed.
        logits: tokens for whose logits there is room at least; each request has one at a time.
        splits_heads: each GPU has a part of every layer's heads, at least one; else it has whole layers.
        runtime: bytes on each GPU for what is not the model's: the driver's context, libraries, recorded graphs.
    """

    shares_context: bool
    parallel: int
    pools: bool
    granule: int
    batch: int
    activation: int
    logits: int
    splits_heads: bool
    runtime: int


#: llama.cpp's server. Cache: src/llama-kv-cache-iswa.cpp, which rounds up to 256 tokens; 512 is --ubatch-size. Without
#: --parallel it takes 4 requests, in one cache (kv_unified in its log), whose sliding layers keep a window for each and
#: one batch for all. With --parallel and no --ctx-size each request gets the context that the model was made for, where
#: memory is free (common_fit_params in its log). It computes in 32 bits. Releases of 2025 reserve logits for the whole
#: batch (graph_reserve in src/llama-context.cpp), one of October 2026 for a token per request (seen in its log). Flash
#: attention is taken to be on, as it is where the GPU has it. The 457 MiB are what Ollama holds to be the least on CUDA
#: and ROCm (cudaMinimumMemory in its gpu.go).
LLAMACPP: Final = Habits(
    shares_context=True,
    parallel=4,
    pools=True,
    granule=256,
    batch=512,
    activation=4,
    logits=512,
    splits_heads=False,
    runtime=457 * _MIB,
)

#: vLLM. It takes `--gpu-memory-utilization` of each GPU whatever the model needs: the estimate is what that part must
#: hold for *parallel* requests of full length. Cache: vllm/v1/kv_cache_interface.py, blocks of 16 tokens. 8192 and 1024
#: are what --max-num-batched-tokens and --max-num-seqs are by themselves on the largest GPUs (get_batch_defaults in
#: vllm/engine/arg_utils.py), for which it makes a trial run. The rest is not measured but put together: 457 MiB as
#: above, and what logs that its users published have, up to 0.33 GiB beside PyTorch and 0.36 GiB of recorded graphs.
VLLM: Final = Habits(
    shares_context=False,
    parallel=1,
    pools=False,
    granule=16,
    batch=8192,
    activation=2,
    logits=1024,
    splits_heads=True,
    runtime=1280 * _MIB,
)

#: Ollama runs llama.cpp, and asks it for the context times the requests (KvSize in its llm/server.go).
OLLAMA: Final = Habits(
    shares_context=False,
    parallel=1,
    pools=False,
    granule=256,
    batch=512,
    activation=4,
    logits=512,
    splits_heads=False,
    runtime=457 * _MIB,
)

_HABITS: Final[Mapping[str, Habits]] = {"llamacpp": LLAMACPP, "ollama": OLLAMA}


def habits_of(engine: str) -> Habits:
    """Return how the built-in *engine* uses memory.

    Those that serve Hugging Face's models are taken to be as vLLM, and so is one that is not known here.
    """
    return _HABITS.get(engine, VLLM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a model takes, over all its GPUs.

    Attributes:
        weights: its tensors.
        cache: keys and values, and states, of all requests at once.
        overhead: what is computed with, and the engine's own.
    """

    weights: int
    cache: int
    overhead: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.overhead


def estimate(
    metadata: ModelMetadata,
    *,
    context: int | None,
    parallel: int | None = None,
    habits: Habits = LLAMACPP,
    cache_bytes_per_value: float = 2,
    gpus: int = 1,
) -> Estimate:
    """Say what *metadata*'s model takes with all of it on *gpus* GPUs; 0 for a CPU.

    *context* counts tokens, of all requests or of each as *habits* have it; none: as many as the model was made for,
    of each where *parallel* is given.
    *parallel* is how many requests run at once; none: the engine's own number. A cache of 16-bit values has 2
    *cache_bytes_per_value*, one of llama.cpp's ``q8_0`` 34/32.

    Token embeddings count among the weights, which llama.cpp leaves in the host's memory unless they are the output
    layer too.

    Raises:
        ConfigError: no context is given, and the model does not say for how much it was made.
    """
    requests = habits.parallel if parallel is None else parallel
    tokens = metadata.train_context if context is None else context
    if tokens is None:
        if metadata.caches:
            raise ConfigError("the model does not say how long its context is", hint="give it with `context`")
        tokens = habits.batch
    pooled = habits.pools and parallel is None
    shared = habits.shares_context and (context is not None or pooled)
    each = -(-tokens // requests) if shared else tokens
    # caches, and the requests that each has
    caches, users = (1, requests) if pooled else (requests, 1)
    values = states = 0
    for group in metadata.groups:
        values += group.count * caches * _values(group.layer, each * users, users, habits, gpus)
        states += group.count * requests * group.layer.state
    return Estimate(
        weights=metadata.weights,
        cache=_up(values * cache_bytes_per_value) + states * _STATE_VALUE,
        overhead=_overhead(metadata, tokens=each * requests, requests=requests, habits=habits, gpus=gpus),
    )


def _values(layer: Layer, tokens: int, users: int, habits: Habits, gpus: int) -> int:
    """Return the values that *layer* has in one cache of *tokens*, for *users* requests."""
    held = _round_up(tokens, habits.granule)
    if layer.window is not None:
        held = min(held, _window(layer.window * users, habits))
    heads = max(layer.kv_heads, gpus) if habits.splits_heads and layer.kv_heads else layer.kv_heads
    return held * heads * (layer.key_length + layer.value_length)


def _window(window: int, habits: Habits) -> int:
    held = _round_up(window + habits.batch, habits.granule)
    # a window need not start where a block does (SlidingWindowSpec); llama.cpp has no blocks
    return held + habits.granule if habits.splits_heads else held


def _overhead(metadata: ModelMetadata, *, tokens: int, requests: int, habits: Habits, gpus: int) -> int:
    """Return the memory beside weights and cache, over all *gpus*, each of which computes.

    Gate, up and their product in a feed-forward layer, and six times the width between layers: with that, llama.cpp's
    buffer for a Gemma 3 of 270 million parameters is met within 10 % (18.3 MiB without logits and masks). The mask has
    a 16-bit value per cached token and token of the batch.
    """
    batch = habits.batch
    activations = batch * (3 * metadata.feed_forward + 6 * metadata.embedding) * habits.activation
    logits = max(habits.logits, requests) * metadata.vocabulary * _LOGIT
    mask = batch * tokens * 2 if habits.granule == LLAMACPP.granule and metadata.caches else 0
    return max(1, gpus) * (activations + logits + mask) + gpus * habits.runtime


def _round_up(number: int, granule: int) -> int:
    return -(-number // granule) * granule


def _up(number: float) -> int:
    return int(-(-number // 1))
