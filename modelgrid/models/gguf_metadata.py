"""From the header of GGUF files to what an estimate needs.

Names of the fields: llama.cpp src/llama-arch.cpp. Which layer caches what: its src/llama-hparams.cpp, and the places
in src/llama-model.cpp that read the fields of each architecture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modelgrid.errors import ConfigError
from modelgrid.models.gguf import GgufHeader, Length, read_header
from modelgrid.models.metadata import Layer, ModelMetadata, group_layers
from modelgrid.models.numbers import HINT, Numbers, architecture_name
from modelgrid.models.splits import split_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Each so many layers one sees everything, where the file has no field for it. Of architectures that are not here and
#: say nothing, every layer is taken to see everything, as llama.cpp does.
_PERIODS: Final = dict.fromkeys(("cohere2", "llama4", "olmo2", "exaone4", "exaone-moe", "afmoe", "smallthinker"), 4) | {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gemma4": 6,
    "gpt-oss": 2,
}
#: Here the first of them is the one that sees everything, elsewhere the last.
_FULL_FIRST: Final = frozenset({"smallthinker"})
#: Windows that llama.cpp has in its code, in tokens.
_WINDOWS: Final = {"llama4": 8192}

#: Linear attention in all layers but each so many.
_LINEAR_PERIODS: Final = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4}
#: Attention and a state side by side in every layer.
_PARALLEL: Final = frozenset({"falcon-h1"})
_STATE_ONLY: Final = frozenset({"mamba", "mamba2", "rwkv6", "rwkv7", "rwkv6qwen2", "arwkv7"})

#: Without a cache: they answer with embeddings, or are no language models.
_CACHELESS: Final = frozenset(
    {
        *(
            "bert",
            "modern-bert",
            "nomic-bert",
            "nomic-bert-moe",
            "neo-bert",
            "jina-bert-v2",
            "jina-bert-v3",
            "eurobert",
        ),
        *("gemma-embedding", "t5encoder", "dream", "llada", "llada-moe", "rnd1", "wavtokenizer-dec"),
    }
)
#: Files beside a model's own, such as the part that sees: weights and no layers that cache.
_PROJECTOR: Final = "clip"


def read_gguf(path: Path) -> ModelMetadata:
    """Read the GGUF file *path*, and with it the other parts where it is one of several.

    Raises:
        ConfigError: a file is damaged, cut off, missing or none of GGUF, or does not say what its model is.
        HostError: one cannot be read.
    """
    headers = []
    for name in split_names(path.name):
        part = path.with_name(name)
        if not part.is_file():
            raise ConfigError(f"{part} is missing: {path.name} is one of several parts", hint="fetch all of them")
        headers.append(read_header(part))
    return metadata_from_headers(headers[0], weights=sum(header.tensors for header in headers), where=str(path))


def metadata_from_headers(first: GgufHeader, *, weights: int, where: str) -> ModelMetadata:
    """Make sense of the header *first*, which has the fields of the model; *weights*: bytes of all parts.

    Raises:
        ConfigError: it lacks what is needed, or has what no model has. *where* names it.
    """
    architecture = first.values.get("general.architecture")
    if not isinstance(architecture, str):
        raise ConfigError(f"{where} does not say its architecture", hint=HINT)
    architecture = architecture_name(architecture, where)
    numbers = Numbers(_fields(first.values, f"{architecture}."), where)
    if architecture == _PROJECTOR:
        return ModelMetadata(
            architecture=architecture,
            weights=weights,
            groups=(),
            embedding=0,
            feed_forward=0,
            vocabulary=0,
            train_context=None,
        )
    layers = _Layers(architecture, numbers)
    return ModelMetadata(
        architecture=architecture,
        weights=weights,
        groups=group_layers(layers.layer(index) for index in range(layers.count)),
        embedding=layers.embedding,
        feed_forward=max(
            numbers.get("feed_forward_length"),
            numbers.get("expert_feed_forward_length") * numbers.get("expert_used_count"),
        ),
        vocabulary=_vocabulary(first.values, numbers),
        train_context=numbers.optional("context_length") or None,
    )


def _fields(values: Mapping[str, object], prefix: str) -> dict[str, object]:
    return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}


def _vocabulary(values: Mapping[str, object], numbers: Numbers) -> int:
    tokens = values.get("tokenizer.ggml.tokens")
    return numbers.get("vocab_size", default=tokens.count if isinstance(tokens, Length) else 0)


class _Layers:
    """What each layer keeps."""

    def __init__(self, architecture: str, numbers: Numbers) -> None:
        self.architecture = architecture
        self.numbers = numbers
        self.count = numbers.layers("block_count")
        self.embedding = numbers.need("embedding_length")
        self.heads = numbers.each("attention.head_count", layers=self.count) or [0] * self.count
        self.kv_heads = numbers.each("attention.head_count_kv", layers=self.count) or self.heads
        self.window = numbers.get("attention.sliding_window", default=_WINDOWS.get(architecture, 0)) or None
        self.slides = self._sliding()
        self.linear_period = numbers.get("full_attention_interval", default=_LINEAR_PERIODS.get(architecture, 0))
        self.state = self._state()
        self.caching = self._caching()

    def layer(self, index: int) -> Layer:
        """Return what layer *index* keeps, counted from 0."""
        recurrent = self._recurrent(index)
        state = self.state if recurrent or self.architecture in _PARALLEL else 0
        heads = self.kv_heads[index]
        if recurrent or not heads or index >= self.caching:
            return Layer(state=state)
        sliding = self.slides[index]
        key, value = self._lengths(index, sliding=sliding)
        return Layer(
            kv_heads=heads,
            key_length=key,
            value_length=value,
            window=self.window if sliding else None,
            state=state,
        )

    def _recurrent(self, index: int) -> bool:
        if self.architecture in _STATE_ONLY:
            return True
        if self.linear_period:
            return (index + 1) % self.linear_period != 0
        return not self.kv_heads[index]

    def _lengths(self, index: int, *, sliding: bool) -> tuple[int, int]:
        numbers = self.numbers
        default = self.embedding // (self.heads[index] or 1)
        key = numbers.get("attention.key_length", default=default)
        value = numbers.get("attention.value_length", default=default)
        if numbers.optional("attention.key_length_mla"):
            # latent attention: values are a part of what is cached as keys (llama.cpp since January 2026, has_v in
            # src/llama-kv-cache.cpp), with the index of sparse attention beside it
            return key, numbers.get("attention.indexer.key_length")
        if sliding:
            key = numbers.get("attention.key_length_swa", default=key)
            value = numbers.get("attention.value_length_swa", default=value)
        return key, value

    def _sliding(self) -> list[bool]:
        """Say of each layer whether it slides."""
        if self.window is None:
            return [False] * self.count
        pattern = self.numbers.values.get("attention.sliding_window_pattern")
        if isinstance(pattern, tuple):
            if len(pattern) < self.count:
                raise ConfigError(
                    f"{self.numbers.where} has a sliding_window_pattern for {len(pattern)} of {self.count} layers",
                    hint=HINT,
                )
            return [bool(slides) for slides in pattern[: self.count]]
        period = self.numbers.get("attention.sliding_window_pattern", default=_PERIODS.get(self.architecture, 1))
        if period == 0:
            return [True] * self.count
        full = 0 if self.architecture in _FULL_FIRST else period - 1
        return [index % period != full for index in range(self.count)]

    def _caching(self) -> int:
        """Return how many layers, from the first, cache: the rest use what those have, or there is no cache at all."""
        if self.architecture in _CACHELESS or self.numbers.values.get("attention.causal") is False:
            return 0
        return max(0, self.count - self.numbers.get("attention.shared_kv_layers"))

    def _state(self) -> int:
        """Return the values that a layer without attention keeps per request (n_embd_r and n_embd_s)."""
        numbers = self.numbers
        if head := numbers.optional("wkv.head_size"):
            return self.embedding * (numbers.get("token_shift_count", default=2) + head)
        if kept := numbers.optional("shortconv.l_cache"):
            return self.embedding * (kept - 1)
        convolution = max(0, numbers.get("ssm.conv_kernel") - 1)
        if head := numbers.optional("kda.head_dim"):
            return max(self.heads) * head * (3 * convolution + head)
        inner, size = numbers.get("ssm.inner_size"), numbers.get("ssm.state_size")
        return convolution * (inner + 2 * numbers.get("ssm.group_count") * size) + size * inner
