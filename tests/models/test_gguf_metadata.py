"""What each layer caches, from the fields that GGUF files have of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.errors import ConfigError
from modelgrid.models.gguf import GgufHeader, Length
from modelgrid.models.gguf_metadata import metadata_from_headers, read_gguf
from modelgrid.models.metadata import Layer, LayerGroup
from tests.models.ggufs import write

if TYPE_CHECKING:
    from pathlib import Path

    from modelgrid.models.metadata import ModelMetadata

SMALL = {"block_count": 4, "embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": 2}
PLAIN = Layer(kv_heads=2, key_length=16, value_length=16)


def read(architecture: str, **fields: Any) -> ModelMetadata:
    named = {name.replace("__", "."): value for name, value in fields.items()}
    values = {f"{architecture}.{name}": value for name, value in {**SMALL, **named}.items()}
    header = GgufHeader(values={"general.architecture": architecture, **values}, tensors=0)
    return metadata_from_headers(header, weights=5, where="model.gguf")


def windows(found: ModelMetadata) -> dict[int | None, int]:
    return {group.layer.window: group.count for group in found.groups}


def test_a_file_says_what_an_estimate_needs(tmp_path: Path) -> None:
    weights = write(tmp_path / "model.gguf", tokens=9000)

    found = read_gguf(tmp_path / "model.gguf")

    assert found.architecture == "llama"
    assert found.weights == weights
    assert found.groups == (LayerGroup(count=3, layer=PLAIN),)
    assert (found.embedding, found.feed_forward, found.vocabulary, found.train_context) == (64, 128, 9000, 4096)


def test_all_parts_of_split_weights_count(tmp_path: Path) -> None:
    weights = write(tmp_path / "big-00001-of-00002.gguf")
    write(tmp_path / "big-00002-of-00002.gguf", fields={})

    assert read_gguf(tmp_path / "big-00001-of-00002.gguf").weights == 2 * weights
    assert read_gguf(tmp_path / "big-00002-of-00002.gguf").layers == 3


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    write(tmp_path / "big-00001-of-00002.gguf")

    with pytest.raises(ConfigError, match=r"big-00002-of-00002\.gguf is missing"):
        read_gguf(tmp_path / "big-00001-of-00002.gguf")


def test_a_cut_part_is_named(tmp_path: Path) -> None:
    write(tmp_path / "big-00001-of-00002.gguf")
    shutil.copy(tmp_path / "big-00001-of-00002.gguf", tmp_path / "big-00002-of-00002.gguf")
    with (tmp_path / "big-00002-of-00002.gguf").open("r+b") as file:
        file.truncate(2000)

    with pytest.raises(ConfigError, match=r"big-00002-of-00002\.gguf is cut off after 2000 bytes"):
        read_gguf(tmp_path / "big-00001-of-00002.gguf")


@pytest.mark.parametrize(
    ("architecture", "fields", "expected"),
    [
        ("gemma2", {"block_count": 26}, {512: 13, None: 13}),
        ("gemma3", {"block_count": 18}, {512: 15, None: 3}),
        ("smallthinker", {"block_count": 8}, {None: 2, 512: 6}),
        ("gemma3", {"block_count": 8, "attention__sliding_window_pattern": 4}, {512: 6, None: 2}),
        ("step35", {"attention__sliding_window_pattern": (True, True, True, False)}, {512: 3, None: 1}),
        # llama.cpp lets these see everything, whatever the file says of a window
        ("llama", {}, {None: 4}),
        ("phi3", {}, {None: 4}),
        ("gemma3", {"attention__sliding_window": 0}, {None: 4}),
    ],
)
def test_layers_slide_as_llama_cpp_has_it(
    architecture: str, fields: dict[str, Any], expected: dict[int | None, int]
) -> None:
    assert windows(read(architecture, **{"attention__sliding_window": 512, **fields})) == expected


def test_llama_4_has_its_window_without_a_field() -> None:
    assert windows(read("llama4")) == {8192: 3, None: 1}


def test_lengths_of_heads_are_given_or_follow_from_the_width() -> None:
    assert read("llama").groups[0].layer == PLAIN
    given = read("llama", attention__key_length=128, attention__value_length=96).groups[0].layer
    assert (given.key_length, given.value_length) == (128, 96)


def test_sliding_layers_may_have_lengths_of_their_own() -> None:
    found = read(
        "gemma4",
        attention__sliding_window=512,
        attention__sliding_window_pattern=(True, False, True, False),
        attention__key_length=512,
        attention__value_length=512,
        attention__key_length_swa=256,
        attention__value_length_swa=256,
    )

    assert {group.layer.window: group.layer.key_length for group in found.groups} == {512: 256, None: 512}


def test_latent_attention_caches_keys_alone() -> None:
    found = read(
        "deepseek2",
        attention__head_count_kv=1,
        attention__key_length=576,
        attention__value_length=512,
        attention__key_length_mla=192,
        attention__value_length_mla=128,
    )

    assert found.groups == (LayerGroup(count=4, layer=Layer(kv_heads=1, key_length=576, value_length=0)),)


def test_heads_may_differ_by_layer_and_none_means_a_state() -> None:
    found = read(
        "jamba",
        attention__head_count_kv=(0, 2, 0, 4),
        ssm__conv_kernel=4,
        ssm__inner_size=128,
        ssm__state_size=16,
        ssm__group_count=0,
    )

    state = Layer(state=3 * 128 + 16 * 128)
    more = Layer(kv_heads=4, key_length=16, value_length=16)
    assert found.groups == (
        LayerGroup(count=2, layer=state),
        LayerGroup(count=1, layer=PLAIN),
        LayerGroup(count=1, layer=more),
    )


@pytest.mark.parametrize(
    ("architecture", "fields", "layers"),
    [
        ("mamba2", {"ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16, "ssm__group_count": 1}, 0),
        ("rwkv7", {"wkv__head_size": 64}, 0),
        ("lfm2", {"shortconv__l_cache": 3, "attention__head_count_kv": (0, 0, 2, 0)}, 1),
        ("qwen3next", {"ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16, "ssm__group_count": 2}, 1),
        ("falcon-h1", {"ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16, "ssm__group_count": 1}, 4),
        ("kimi-linear", {"kda__head_dim": 16, "ssm__conv_kernel": 4, "attention__head_count_kv": (0, 0, 0, 2)}, 1),
    ],
)
def test_hybrids_cache_only_where_they_attend(architecture: str, fields: dict[str, Any], layers: int) -> None:
    groups = read(architecture, **fields).groups

    assert sum(group.count for group in groups if group.layer.kv_heads) == layers
    assert any(group.layer.state for group in groups)


def test_layers_that_share_a_cache_have_none_of_their_own() -> None:
    found = read("gemma3n", attention__shared_kv_layers=3)

    assert sum(group.count for group in found.groups if group.layer.kv_heads) == 1


@pytest.mark.parametrize(("architecture", "fields"), [("bert", {}), ("other", {"attention__causal": False})])
def test_models_that_embed_cache_nothing(architecture: str, fields: dict[str, Any]) -> None:
    assert not read(architecture, **fields).caches


def test_a_part_that_sees_is_weights_alone() -> None:
    header = GgufHeader(values={"general.architecture": "clip"}, tensors=0)

    found = metadata_from_headers(header, weights=851, where="mmproj.gguf")
    assert (found.weights, found.layers) == (851, 0)


def test_experts_count_as_many_as_one_token_takes() -> None:
    assert read("qwen3moe", expert_feed_forward_length=768, expert_used_count=8).feed_forward == 6144


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"block_count": 0}, "does not say block_count"),
        ({"block_count": 10_000}, "more than any model"),
        ({"block_count": "many"}, "block_count = many, which no model has"),
        ({"block_count": Length(3)}, "which no model has"),
        ({"attention__head_count_kv": (1, 2)}, "head_count_kv for 2 of 4 layers"),
        ({"attention__key_length": 2.5}, "key_length = 2.5, which no model has"),
        ({"attention__sliding_window": 9, "attention__sliding_window_pattern": (True,)}, "for 1 of 4 layers"),
    ],
)
def test_what_no_model_has_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read("llama", **fields)


@pytest.mark.parametrize("name", ["", "a b", "llama\x1b[31m", "x" * 65, "\ufffd"])
def test_an_architecture_is_a_short_word(name: str) -> None:
    with pytest.raises(ConfigError, match="an architecture that no model has"):
        metadata_from_headers(GgufHeader(values={"general.architecture": name}, tensors=0), weights=0, where="x")


def test_a_file_without_an_architecture_is_refused() -> None:
    with pytest.raises(ConfigError, match="x does not say its architecture"):
        metadata_from_headers(GgufHeader(values={}, tensors=0), weights=0, where="x")
