"""What a model takes: the cache to the byte, and the rest by the stated formulas."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.errors import ConfigError
from modelgrid.models.estimate import LLAMACPP, OLLAMA, VLLM, Habits, estimate, habits_of
from modelgrid.models.metadata import Layer, LayerGroup, ModelMetadata, group_layers

FULL = Layer(kv_heads=2, key_length=16, value_length=16)
SLIDING = replace(FULL, window=512)
#: Values that one token takes in one of these layers.
TOKEN = 64
MIB = 1024**2
HABITS = st.sampled_from([LLAMACPP, OLLAMA, VLLM])


def model(*layers: Layer, train_context: int | None = 4096) -> ModelMetadata:
    return ModelMetadata(
        architecture="x",
        weights=1000,
        groups=group_layers(layers),
        embedding=64,
        feed_forward=256,
        vocabulary=1000,
        train_context=train_context,
    )


def test_alike_layers_are_one_group() -> None:
    assert model(FULL, SLIDING, FULL).groups == (
        LayerGroup(count=2, layer=FULL),
        LayerGroup(count=1, layer=SLIDING),
    )


def test_llama_cpp_shares_a_context_and_others_give_it_to_each() -> None:
    caches = [
        estimate(model(FULL), context=4096, parallel=4, habits=habits).cache for habits in (LLAMACPP, OLLAMA, VLLM)
    ]

    assert caches == [4096 * TOKEN * 2, 4 * 4096 * TOKEN * 2, 4 * 4096 * TOKEN * 2]


def test_each_request_of_llama_cpp_gets_whole_steps_of_256_tokens() -> None:
    assert estimate(model(FULL), context=1000, parallel=3).cache == 3 * 512 * TOKEN * 2


def test_a_sliding_layer_never_takes_more_than_one_that_sees_everything() -> None:
    assert estimate(model(SLIDING), context=512, parallel=1).cache == 512 * TOKEN * 2
    assert estimate(model(SLIDING), context=65536, parallel=1).cache == (512 + 512) * TOKEN * 2


def test_requests_that_nobody_counted_share_one_cache_of_llama_cpp() -> None:
    # a window for each of four, and one batch for all
    assert estimate(model(SLIDING), context=65536).cache == (4 * 512 + 512) * TOKEN * 2
    assert estimate(model(SLIDING), context=1000).cache == 1024 * TOKEN * 2
    assert estimate(model(FULL), context=1000).cache == 1024 * TOKEN * 2
    assert estimate(model(Layer(state=10)), context=1000).cache == 4 * 10 * 4


@pytest.mark.parametrize("habits", [OLLAMA, VLLM])
def test_other_engines_take_one_request_where_nobody_counted(habits: Habits) -> None:
    for layer in (FULL, SLIDING):
        assert estimate(model(layer), context=65536, habits=habits) == estimate(
            model(layer), context=65536, parallel=1, habits=habits
        )


def test_values_of_the_cache_may_be_smaller() -> None:
    # llama.cpp's q8_0: 34 bytes for 32 values
    assert (
        estimate(model(FULL), context=4096, parallel=1, cache_bytes_per_value=34 / 32).cache == 4096 * TOKEN * 34 // 32
    )


def test_states_are_counted_once_per_request() -> None:
    assert estimate(model(Layer(state=10)), context=4096, parallel=3).cache == 3 * 10 * 4


def test_without_a_context_each_of_the_counted_requests_has_that_of_the_model() -> None:
    assert estimate(model(FULL), context=None, parallel=3).cache == 3 * 4096 * TOKEN * 2
    assert estimate(model(FULL), context=None).cache == 4096 * TOKEN * 2


def test_without_a_context_it_is_the_one_that_the_model_was_made_for() -> None:
    assert estimate(model(FULL), context=None, parallel=1) == estimate(model(FULL), context=4096, parallel=1)
    with pytest.raises(ConfigError, match="how long its context is"):
        estimate(model(FULL, train_context=None), context=None, parallel=1)


def test_what_caches_nothing_needs_no_context() -> None:
    assert estimate(model(Layer(), train_context=None), context=None, parallel=1).cache == 0


def test_heads_that_cannot_be_split_are_on_every_gpu_of_vllm() -> None:
    latent = Layer(kv_heads=1, key_length=576)

    for gpus, copies in ((1, 1), (4, 4)):
        assert estimate(model(latent), context=16, parallel=1, habits=VLLM, gpus=gpus).cache == copies * 16 * 576 * 2
    assert estimate(model(latent), context=256, parallel=1, gpus=4).cache == 256 * 576 * 2
    assert (
        estimate(model(FULL), context=16, parallel=1, habits=VLLM, gpus=2).cache
        == estimate(model(FULL), context=16, parallel=1, habits=VLLM, gpus=1).cache
    )


def test_each_gpu_has_a_context_and_a_buffer_of_its_own() -> None:
    one = estimate(model(FULL), context=4096, parallel=1).overhead

    assert estimate(model(FULL), context=4096, parallel=1, gpus=3).overhead == 3 * one
    assert one - estimate(model(FULL), context=4096, parallel=1, gpus=0).overhead == 457 * MIB


def test_llama_cpp_s_buffer_is_activations_logits_and_masks() -> None:
    expected = 512 * (3 * 256 + 6 * 64) * 4 + 512 * 1000 * 4 + 512 * 4096 * 2

    assert estimate(model(FULL), context=4096, parallel=1, gpus=0).overhead == expected


def test_engines_have_their_habits() -> None:
    assert habits_of("llamacpp") is LLAMACPP
    assert habits_of("ollama") is OLLAMA
    assert {habits_of(name) for name in ("vllm", "sglang", "tgi", "mine")} == {VLLM}
    assert estimate(model(FULL), context=4096) == estimate(model(FULL), context=4096, parallel=4)


@given(
    layers=st.lists(st.sampled_from([FULL, SLIDING, Layer(state=99), Layer()]), min_size=1, max_size=6),
    context=st.integers(1, 2**20),
    more=st.integers(0, 2**20),
    parallel=st.integers(1, 64),
    gpus=st.integers(0, 8),
    habits=HABITS,
)
def test_more_of_anything_never_takes_less(
    layers: list[Layer], context: int, more: int, parallel: int, gpus: int, habits: object
) -> None:
    assert habits in {LLAMACPP, OLLAMA, VLLM}
    kind = next(item for item in (LLAMACPP, OLLAMA, VLLM) if item == habits)

    def total(tokens: int, requests: int, cards: int) -> int:
        return estimate(model(*layers), context=tokens, parallel=requests, gpus=cards, habits=kind).total

    least = total(context, parallel, gpus)
    assert least > 1000
    assert total(context + more, parallel, gpus) >= least
    assert total(context, parallel, gpus + 1) >= least
    if not kind.shares_context:
        assert total(context, parallel + 1, gpus) >= least
