"""What published models cache per token, from the fields that their config.json has, against the formula by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelgrid.errors import ConfigError
from modelgrid.models.config_json import metadata_from_config
from modelgrid.models.estimate import VLLM, estimate
from modelgrid.models.metadata import Layer, LayerGroup

#: Bytes of a cached value.
HALF = 2

LLAMA_3_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}
MIXTRAL_8X7B = {
    **LLAMA_3_8B,
    "model_type": "mixtral",
    "num_experts_per_tok": 2,
    "num_local_experts": 8,
    "sliding_window": None,
    "vocab_size": 32000,
}
MISTRAL_7B = {**LLAMA_3_8B, "model_type": "mistral", "sliding_window": 4096, "vocab_size": 32000}
QWEN_25_32B = {
    "model_type": "qwen2",
    "hidden_size": 5120,
    "intermediate_size": 27648,
    "max_position_embeddings": 32768,
    "max_window_layers": 64,
    "num_attention_heads": 40,
    "num_hidden_layers": 64,
    "num_key_value_heads": 8,
    "sliding_window": 131072,
    "use_sliding_window": False,
    "vocab_size": 152064,
}
GEMMA_3_4B = {
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16},
}
DEEPSEEK_V2_LITE = {
    "model_type": "deepseek_v2",
    "hidden_size": 2048,
    "intermediate_size": 10944,
    "kv_lora_rank": 512,
    "max_position_embeddings": 163840,
    "moe_intermediate_size": 1408,
    "num_attention_heads": 16,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 27,
    "num_key_value_heads": 16,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 102400,
}
GPT_OSS_20B = {
    "model_type": "gpt_oss",
    "head_dim": 64,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "num_attention_heads": 64,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 24,
    "num_key_value_heads": 8,
    "sliding_window": 128,
    "max_position_embeddings": 131072,
    "vocab_size": 201088,
}
QWEN_3_NEXT_80B = {
    "model_type": "qwen3_next",
    "full_attention_interval": 4,
    "head_dim": 256,
    "hidden_size": 2048,
    "intermediate_size": 5120,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_value_head_dim": 128,
    "num_attention_heads": 16,
    "num_hidden_layers": 48,
    "num_key_value_heads": 2,
    "max_position_embeddings": 262144,
    "vocab_size": 151936,
}
FALCON_7B = {
    "model_type": "falcon",
    "hidden_size": 4544,
    "multi_query": True,
    "new_decoder_architecture": False,
    "num_attention_heads": 71,
    "num_hidden_layers": 32,
    "vocab_size": 65024,
}
LLAMA_4_SCOUT = {
    "model_type": "llama4",
    "text_config": {
        "attention_chunk_size": 8192,
        "head_dim": 128,
        "hidden_size": 5120,
        "model_type": "llama4_text",
        "num_attention_heads": 40,
        "num_hidden_layers": 48,
        "num_key_value_heads": 8,
    },
}
JAMBA_MINI = {
    "model_type": "jamba",
    "attn_layer_offset": 4,
    "attn_layer_period": 8,
    "hidden_size": 4096,
    "mamba_d_conv": 4,
    "mamba_d_state": 16,
    "mamba_expand": 2,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
}
MAMBA_2_8B = {
    "model_type": "mamba2",
    "conv_kernel": 4,
    "expand": 2,
    "head_dim": 64,
    "hidden_size": 4096,
    "n_groups": 8,
    "num_heads": 128,
    "num_hidden_layers": 64,
    "state_size": 128,
}
NEMOTRON_H = {
    "model_type": "nemotron_h",
    "head_dim": 128,
    "hidden_size": 4096,
    "hybrid_override_pattern": "M-M*-M-E",
    "num_attention_heads": 32,
    "num_hidden_layers": 8,
    "num_key_value_heads": 8,
}
BERT = {"model_type": "bert", "hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12}


def cache(config: dict[str, Any], *, context: int, parallel: int = 1) -> int:
    metadata = metadata_from_config(config, 0)
    return estimate(metadata, context=context, parallel=parallel, habits=VLLM).cache


@pytest.mark.parametrize(
    ("config", "per_token"),
    [
        # keys and values, heads, their length, layers
        (LLAMA_3_8B, 2 * 8 * 128 * 32 * HALF),
        (MIXTRAL_8X7B, 2 * 8 * 128 * 32 * HALF),
        (QWEN_25_32B, 2 * 8 * 128 * 64 * HALF),
        (FALCON_7B, 2 * 1 * 64 * 32 * HALF),
        # one latent vector and the rotated part of the key
        (DEEPSEEK_V2_LITE, (512 + 64) * 27 * HALF),
        # only layers that see everything grow: five of 34, each second, each fourth, each eighth
        (GEMMA_3_4B, 2 * 4 * 256 * 5 * HALF),
        (GPT_OSS_20B, 2 * 8 * 64 * 12 * HALF),
        (LLAMA_4_SCOUT, 2 * 8 * 128 * 12 * HALF),
        (QWEN_3_NEXT_80B, 2 * 2 * 256 * 12 * HALF),
        (JAMBA_MINI, 2 * 8 * 128 * 4 * HALF),
        (NEMOTRON_H, 2 * 8 * 128 * 1 * HALF),
        # all layers slide
        (MISTRAL_7B, 0),
        (MAMBA_2_8B, 0),
        (BERT, 0),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_a_token_more_takes_what_the_formula_says(config: dict[str, Any], per_token: int) -> None:
    # beyond all windows, and the batch that is kept beside them
    assert cache(config, context=65536 + 16) - cache(config, context=65536) == 16 * per_token


def test_a_model_that_grows_with_every_token_takes_nothing_else() -> None:
    # the figure of the paper: 1 GiB for 8192 tokens in 16 bits
    assert cache(LLAMA_3_8B, context=8192) == 1024**3
    assert cache(LLAMA_3_8B, context=8192, parallel=3) == 3 * 1024**3


def test_sliding_layers_keep_their_window_and_a_batch() -> None:
    # blocks of 16 tokens for 4096 and 8192 tokens, and one more since a window need not start with a block
    assert cache(MISTRAL_7B, context=65536) == (4096 + 8192 + 16) * 2 * 8 * 128 * 32 * HALF
    assert cache(MISTRAL_7B, context=1024) == 1024 * 2 * 8 * 128 * 32 * HALF


def test_states_are_there_for_each_request_whatever_its_length() -> None:
    # the convolution's last three inputs, and a matrix of 128 by 128 for each of 32 heads; 36 layers in 32 bits
    state = 36 * (3 * (2 * 16 * 128 + 32 * 128) + 32 * 128 * 128) * 4

    grows = 2 * 2 * 256 * 12 * HALF
    assert cache(QWEN_3_NEXT_80B, context=1024, parallel=2) == 2 * (1024 * grows + state)
    assert cache(MAMBA_2_8B, context=1024) == 64 * (3 * (8192 + 2 * 8 * 128) + 8192 * 128) * 4


def test_windows_are_asked_for_in_qwen() -> None:
    slides = {**QWEN_25_32B, "use_sliding_window": True, "max_window_layers": 32, "sliding_window": 1024}

    groups = metadata_from_config(slides, 0).groups
    assert [(group.count, group.layer.window) for group in groups] == [(32, None), (32, 1024)]
    without = {key: value for key, value in slides.items() if key != "use_sliding_window"}
    assert [group.layer.window for group in metadata_from_config(without, 0).groups] == [None]


def test_layers_that_share_a_cache_have_none_of_their_own() -> None:
    config = {**GPT_OSS_20B, "num_kv_shared_layers": 10}

    assert cache(config, context=65536 + 16) - cache(config, context=65536) == 16 * 2 * 8 * 64 * 7 * HALF


def test_what_an_estimate_needs_beside_layers() -> None:
    found = metadata_from_config(DEEPSEEK_V2_LITE, 31_400_000_000)

    assert found.architecture == "deepseek_v2"
    assert found.weights == 31_400_000_000
    assert found.groups == (LayerGroup(count=27, layer=Layer(kv_heads=1, key_length=576, value_length=0)),)
    assert (found.embedding, found.vocabulary, found.train_context) == (2048, 102400, 163840)
    assert found.feed_forward == 10944  # six experts of 1408 are less
    assert metadata_from_config(MIXTRAL_8X7B, 0).feed_forward == 2 * 14336


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": None}, "does not say num_hidden_layers"),
        ({"hidden_size": 0}, "does not say hidden_size"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers = 1000000, more than any model"),
        ({"num_hidden_layers": True}, "num_hidden_layers = True, which no model has"),
        ({"num_key_value_heads": -1}, "num_key_value_heads = -1, which no model has"),
        ({"num_key_value_heads": [8, 8]}, "num_key_value_heads for 2 of 32 layers"),
        ({"head_dim": "wide"}, "head_dim = wide, which no model has"),
        ({"vocab_size": 10**30}, "which no model has"),
        ({"head_dim": {"a": 1}}, "head_dim = a dict, which no model has"),
        ({"head_dim": "\ud800\n"}, r"head_dim = .ud800.n, which no model has"),
        ({"model_type": "a b"}, "an architecture that no model has"),
        ({"model_type": "\u202elamina"}, "an architecture that no model has"),
        ({"model_type": "x" * 65}, "an architecture that no model has"),
    ],
)
def test_what_no_model_has_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        metadata_from_config({**LLAMA_3_8B, **change}, 0)

    assert caught.value.hint == "say with `vram` what the model takes"


NAMES = sorted(
    {key for config in (LLAMA_3_8B, DEEPSEEK_V2_LITE, GPT_OSS_20B, QWEN_3_NEXT_80B, JAMBA_MINI) for key in config}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "full_attention", "M*x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(
    base=st.sampled_from([LLAMA_3_8B, GEMMA_3_4B, QWEN_3_NEXT_80B, JAMBA_MINI, GPT_OSS_20B]),
    change=st.dictionaries(st.sampled_from([*NAMES, "text_config", "attn_layer_indices"]), JSON, max_size=3),
)
def test_any_other_content_is_read_or_refused(base: dict[str, Any], change: dict[str, Any]) -> None:
    try:
        found = metadata_from_config({**base, **change}, 7)
    except ConfigError:
        return
    assert estimate(found, context=512, parallel=1).total >= 7
