"""From the config.json of a Hugging Face model to what an estimate needs. Pure.

Names of the fields and their defaults: the configuration classes of transformers, src/transformers/models/*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelgrid.errors import ConfigError
from modelgrid.models.metadata import Layer, ModelMetadata, group_layers
from modelgrid.models.numbers import HINT, Numbers, architecture_name

_WHERE: Final = "config.json"

#: Under these names models that also see or hear have the configuration of the part that writes.
_TEXT: Final = ("text_config", "llm_config", "language_config", "language_model", "thinker_config")
_DEEPEST: Final = 4

#: What the class of the configuration has where the file leaves it out, as the files of these models do.
_DEFAULTS: Final[Mapping[str, Mapping[str, int]]] = {
    "gemma3_text": {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208}
    | {"max_position_embeddings": 131072, "intermediate_size": 9216},
}
#: Each so many layers one sees everything, where the file does not say; layers slide that look no further.
_PERIODS: Final = {"gemma2": 2, "gemma3_text": 6, "cohere2": 4, "gpt_oss": 2, "olmo3": 4, "llama4_text": 4}
#: Layers of these slide only where `use_sliding_window` says so.
_SLIDE_ON_REQUEST: Final = ("qwen2", "qwen3")

#: Without a cache: they answer with embeddings or scores.
_CACHELESS: Final = frozenset(
    {
        *("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "albert", "electra", "deberta", "deberta-v2"),
        *("mpnet", "modernbert", "nomic_bert", "new", "gte", "xlm-roberta-flash", "clip", "siglip"),
    }
)

_FULL: Final = "full"
_SLIDING: Final = "sliding"
_CHUNKED: Final = "chunked"
_STATE: Final = "state"
_BOTH: Final = "both"
_NOTHING: Final = "nothing"
#: What the entries of `layer_types` and `layers_block_type` mean; what is not here sees everything.
_KINDS: Final = {
    "full_attention": _FULL,
    "attention": _FULL,
    "sliding_attention": _SLIDING,
    "chunked_attention": _CHUNKED,
    "linear_attention": _STATE,
    "mamba": _STATE,
    "mamba2": _STATE,
    "conv": _STATE,
    "recurrent": _STATE,
    "hybrid": _BOTH,
    "moe": _NOTHING,
    "mlp": _NOTHING,
}
#: The letters of `hybrid_override_pattern` (Nemotron-H).
_LETTERS: Final = {"M": _STATE, "*": _FULL, "-": _NOTHING, "E": _NOTHING}


def metadata_from_config(config: Mapping[str, Any], weight_bytes: int) -> ModelMetadata:
    """Read what the model is from *config*, the content of its config.json; its weights take *weight_bytes*.

    Raises:
        ConfigError: the file lacks what is needed, or has what no model has.
    """
    text = _text(config)
    architecture = _word(text, "model_type") or _word(config, "model_type")
    if architecture:
        architecture = architecture_name(architecture, _WHERE)
    text = {**_DEFAULTS.get(architecture, {}), **{key: value for key, value in text.items() if value is not None}}
    numbers = Numbers(text, _WHERE)
    layers = _Layers(architecture, text, numbers)
    return ModelMetadata(
        architecture=architecture,
        weights=weight_bytes,
        groups=group_layers(layers.layer(index) for index in range(layers.count)),
        embedding=layers.embedding,
        feed_forward=_feed_forward(numbers, layers.embedding),
        vocabulary=numbers.get("vocab_size", "padded_vocab_size"),
        train_context=numbers.optional(
            "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length"
        )
        or None,
    )


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of *config* that is of the language model, itself where there are no parts."""
    found = config
    for _ in range(_DEEPEST):
        inner = next((found[name] for name in _TEXT if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            break
        # what the part leaves out, the whole may say
        found = {**{key: value for key, value in found.items() if key not in _TEXT}, **inner}
    return found


def _word(config: Mapping[str, Any], name: str) -> str:
    value = config.get(name)
    return value if isinstance(value, str) else ""


def _feed_forward(numbers: Numbers, embedding: int) -> int:
    dense = numbers.get("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", default=4 * embedding)
    chosen = numbers.get("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", default=1)
    own = numbers.optional("moe_intermediate_size")
    return max(dense, own * chosen) if own is not None else dense * max(1, chosen)


class _Layers:
    """What each layer keeps."""

    def __init__(self, architecture: str, text: Mapping[str, Any], numbers: Numbers) -> None:
        self.architecture = architecture
        self.text = text
        self.numbers = numbers
        self.count = numbers.layers("num_hidden_layers", "n_layer", "num_layers", "n_layers")
        self.embedding = numbers.need("hidden_size", "n_embd", "d_model", "dim")
        self.heads = numbers.get("num_attention_heads", "n_head", "n_heads")
        self.kv_heads = self._kv_heads()
        self.window = numbers.get("sliding_window", "attention_window_size") or None
        self.chunk = numbers.get("attention_chunk_size") or None
        self.kinds = self._kinds()
        self.state = self._state()
        self.caching = max(0, self.count - numbers.get("num_kv_shared_layers"))
        if architecture in _CACHELESS or (text.get("is_decoder") is False and "num_key_value_heads" not in text):
            self.caching = 0

    def layer(self, index: int) -> Layer:
        """Return what layer *index* keeps, counted from 0."""
        kind = self.kinds[index]
        state = self.state if kind in {_STATE, _BOTH} else 0
        if kind in {_STATE, _NOTHING} or index >= self.caching:
            return Layer(state=state)
        window = {_SLIDING: self.window, _CHUNKED: self.chunk}.get(kind)
        heads, key, value = self._cached(index)
        return Layer(kv_heads=heads, key_length=key, value_length=value, window=window, state=state)

    def _cached(self, index: int) -> tuple[int, int, int]:
        """Return heads, and the lengths of a key and a value."""
        numbers = self.numbers
        if latent := numbers.optional("kv_lora_rank"):
            # one latent vector and the rotated part of the key, for all heads; the index of sparse attention beside it
            return 1, latent + numbers.get("qk_rope_head_dim"), numbers.get("index_head_dim")
        if not self.heads:
            raise ConfigError(f"{_WHERE} does not say num_attention_heads", hint=HINT)
        length = numbers.get("head_dim", "attention_head_dim", "kv_channels", default=self.embedding // self.heads)
        return self.kv_heads[index], length, numbers.get("v_head_dim", default=length)

    def _kv_heads(self) -> list[int]:
        numbers, text = self.numbers, self.text
        if text.get("multi_query") is True and text.get("new_decoder_architecture") is not True:
            return [1] * self.count
        if text.get("multi_query_attention") is True:
            return [numbers.get("multi_query_group_num", default=1)] * self.count
        each = numbers.each("num_key_value_heads", "num_kv_heads", "n_head_kv", layers=self.count)
        return each or [self.heads] * self.count

    def _kinds(self) -> list[str]:
        for name in ("layer_types", "layers_block_type"):
            listed = self.text.get(name)
            if isinstance(listed, list):
                return self._filled([_KINDS.get(item, _FULL) if isinstance(item, str) else _FULL for item in listed])
        if pattern := _word(self.text, "hybrid_override_pattern"):
            return self._filled([_LETTERS.get(letter, _FULL) for letter in pattern])
        if period := self.numbers.optional("full_attention_interval", "attn_layer_period"):
            seen = self.numbers.get("attn_layer_offset", default=period - 1) % period
            return [_FULL if index % period == seen else _STATE for index in range(self.count)]
        indices = self.text.get("attn_layer_indices")
        if isinstance(indices, list):
            return [_FULL if index in indices else _STATE for index in range(self.count)]
        if not self.heads:
            return [_STATE] * self.count
        return self._sliding_kinds()

    def _filled(self, kinds: list[str]) -> list[str]:
        return (kinds + [_FULL] * self.count)[: self.count]

    def _sliding_kinds(self) -> list[str]:
        slides = _CHUNKED if self.chunk else _SLIDING
        if not (self.window or self.chunk):
            return [_FULL] * self.count
        asked = self.text.get("use_sliding_window", not self.architecture.startswith(_SLIDE_ON_REQUEST))
        if asked is not True:
            return [_FULL] * self.count
        if self.architecture.startswith(_SLIDE_ON_REQUEST):
            first = self.numbers.get("max_window_layers")
            return [_FULL if index < first else slides for index in range(self.count)]
        period = self.numbers.get(
            "sliding_window_pattern", "_sliding_window_pattern", default=_PERIODS.get(self.architecture, 0)
        )
        return [_FULL if period and (index + 1) % period == 0 else slides for index in range(self.count)]

    def _state(self) -> int:
        """Return the values that a layer without attention keeps per request."""
        numbers = self.numbers
        if heads := numbers.optional("linear_num_value_heads"):
            # Qwen3-Next: src/transformers/models/qwen3_next
            keys = numbers.get("linear_num_key_heads") * numbers.get("linear_key_head_dim")
            values = heads * numbers.get("linear_value_head_dim")
            convolution = max(0, numbers.get("linear_conv_kernel_dim") - 1)
            return convolution * (2 * keys + values) + values * numbers.get("linear_key_head_dim")
        if kept := numbers.optional("conv_L_cache"):
            return self.embedding * kept
        size = numbers.get("mamba_d_state", "ssm_state_size", "state_size")
        heads = numbers.get("mamba_n_heads", "mamba_num_heads", "num_heads")
        length = numbers.get("mamba_d_head", "mamba_head_dim", "head_dim")
        inner = heads * length or self.embedding * numbers.get("mamba_expand", "expand", default=2)
        convolution = max(0, numbers.get("mamba_d_conv", "conv_kernel", default=1) - 1)
        return convolution * (inner + 2 * numbers.get("mamba_n_groups", "n_groups") * size) + inner * size
