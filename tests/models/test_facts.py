"""A lock keeps what an estimate needs of a model that lies elsewhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.errors import ConfigError
from modelgrid.models.config_json import metadata_from_config
from modelgrid.models.facts import describe, from_facts, to_facts
from modelgrid.models.metadata import Layer, LayerGroup, ModelMetadata
from tests.models.test_config_json import GEMMA_3_4B, LLAMA_3_8B, QWEN_3_NEXT_80B

LENGTHS = st.integers(0, 10**6)
LAYERS = st.builds(
    Layer,
    kv_heads=LENGTHS,
    key_length=LENGTHS,
    value_length=LENGTHS,
    window=st.none() | LENGTHS,
    state=st.integers(0, 10**9),
)
MODELS = st.builds(
    ModelMetadata,
    architecture=st.text(max_size=9),
    weights=st.integers(0, 2**50),
    groups=st.lists(st.builds(LayerGroup, count=st.integers(1, 99), layer=LAYERS), max_size=5).map(tuple),
    embedding=LENGTHS,
    feed_forward=LENGTHS,
    vocabulary=LENGTHS,
    train_context=st.none() | st.integers(1, 10**7),
)
CONFIG = json.dumps(LLAMA_3_8B).encode()


@given(model=MODELS)
def test_facts_tell_all_of_a_model(model: ModelMetadata) -> None:
    assert from_facts(to_facts(model)) == model


def test_facts_are_short() -> None:
    assert to_facts(metadata_from_config(GEMMA_3_4B, 8_600_000_000))["layers"] == "29x4/256/256@1024 5x4/256/256"
    assert to_facts(metadata_from_config(QWEN_3_NEXT_80B, 0))["layers"] == "36x0/0/0+548864 12x2/256/256"


def test_no_facts_are_no_model() -> None:
    assert from_facts({}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"layers": "many"},
        {"layers": 32},
        {"layers": "1x1/1"},
        {"weights": -1},
        {"weights": True},
        {"architecture": 1},
        {"embedding": "wide"},
        {"vocabulary": -1},
    ],
)
def test_facts_that_were_not_written_so_are_refused(change: dict[str, object]) -> None:
    facts = to_facts(metadata_from_config(LLAMA_3_8B, 1))

    with pytest.raises(ConfigError, match="the lock file"):
        from_facts({**facts, **change})


def test_a_model_elsewhere_is_described_by_two_small_files() -> None:
    index = json.dumps({"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}).encode()
    sizes = {"config.json": 1, "model-1-of-2.safetensors": 30, "model-2-of-2.safetensors": 12, "x.safetensors": 5}

    facts = describe({"config.json": CONFIG, "model.safetensors.index.json": index}, sizes)
    assert (facts["weights"], facts["architecture"]) == (42, "llama")
    assert describe({"config.json": CONFIG}, {"model.safetensors": 9})["weights"] == 9


@pytest.mark.parametrize(
    ("contents", "sizes"),
    [
        ({}, {"model.safetensors": 9}),
        ({"config.json": CONFIG}, {"model.gguf": 9}),
        ({"config.json": b"{}"}, {"model.safetensors": 9}),
        ({"config.json": b"\xff"}, {"model.safetensors": 9}),
        ({"config.json": CONFIG, "model.safetensors.index.json": b"{}"}, {"model.safetensors": 9}),
    ],
)
def test_what_cannot_be_understood_has_no_facts(contents: dict[str, bytes], sizes: dict[str, int]) -> None:
    assert describe(contents, sizes) == {}


def test_values_nested_as_deep_as_python_goes_have_no_facts() -> None:
    for depth in range(800, 1100):
        nested = b"[" * depth + b"]" * depth
        config = CONFIG[:-1] + b', "head_dim": ' + nested + b"}"
        assert describe({"config.json": config}, {"model.safetensors": 9}) == {}, depth


@pytest.mark.parametrize("name", ["\ud800", "\x1b[31m", "llama\n", "\u202elamina", "x" * 65])
def test_a_lock_gets_no_name_that_cannot_be_written_or_misleads(name: str) -> None:
    config = json.dumps({**LLAMA_3_8B, "model_type": name}).encode()

    assert describe({"config.json": config}, {"model.safetensors": 9}) == {}
