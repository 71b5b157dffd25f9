"""A folder of a Hugging Face model is read by its headers; a broken one gets a sentence."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from modelgrid.errors import ConfigError, HostError
from modelgrid.models.gguf import read_header
from modelgrid.models.read import read_metadata
from modelgrid.models.safetensors import index_files, read_folder, tensor_bytes, weight_files
from tests.models.ggufs import write
from tests.models.test_config_json import LLAMA_3_8B

if TYPE_CHECKING:
    from pathlib import Path


def shard(folder: Path, name: str, *, rows: int = 4) -> int:
    """Write a file of two tensors; return their bytes."""
    tensors: dict[str, np.ndarray[Any, Any]] = {
        "a": np.ones((rows, 3), dtype=np.float16),
        "b": np.ones(5, dtype=np.float32),
    }
    save_file(tensors, folder / name, metadata={"format": "pt"})
    return sum(tensor.nbytes for tensor in tensors.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_3_8B))
    return tmp_path


def index(folder: Path, *files: str) -> None:
    content = {"metadata": {"total_size": 1}, "weight_map": {f"t{number}": file for number, file in enumerate(files)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def test_one_file_is_read(folder: Path) -> None:
    weights = shard(folder, "model.safetensors")

    found = read_folder(folder)
    assert (found.weights, found.layers, found.architecture) == (weights, 32, "llama")


def test_the_files_of_the_index_count_once_and_no_others(folder: Path) -> None:
    first = shard(folder, "model-00001-of-00002.safetensors")
    second = shard(folder, "model-00002-of-00002.safetensors", rows=9)
    shard(folder, "consolidated.safetensors")
    index(folder, *["model-00001-of-00002.safetensors"] * 2, "model-00002-of-00002.safetensors")

    assert read_folder(folder).weights == first + second


def test_a_second_form_of_the_weights_does_not_count() -> None:
    both = ["consolidated.safetensors", "model-00001-of-00001.safetensors"]

    assert weight_files(both) == ("model-00001-of-00001.safetensors",)
    assert weight_files(["consolidated-1.safetensors", "README.md"]) == ("consolidated-1.safetensors",)
    assert weight_files(["onnx/model.safetensors", "own.safetensors", "consolidated.safetensors"]) == (
        "own.safetensors",
    )


def test_a_missing_file_of_the_index_is_named(folder: Path) -> None:
    index(folder, "model-00001-of-00001.safetensors")
    shard(folder, "other.safetensors")

    with pytest.raises(ConfigError, match=r"model-00001-of-00001\.safetensors is missing"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["../../etc/x.safetensors", "/x.safetensors", "a\\b.safetensors", "x.bin", ""])
def test_an_index_names_files_beside_it(name: str) -> None:
    with pytest.raises(ConfigError, match="no file beside it"):
        index_files({"weight_map": {"t": name}})


@pytest.mark.parametrize("content", [{}, {"weight_map": {}}, {"weight_map": ["a"]}])
def test_an_index_names_some_file(content: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="names no files"):
        index_files(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut off"),
        (b"\x01", "cut off"),
        (struct.pack("<Q", 2**63), "header is too long"),
        (struct.pack("<Q", 10) + b"{}", "cut off"),
        (struct.pack("<Q", 2) + b"[]", "no JSON object"),
        (struct.pack("<Q", 2) + b"\xff\xff", "no JSON that can be read"),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, "no JSON that can be read"),
        (struct.pack("<Q", 8) + b'{"a":{}}', "damaged"),
        (struct.pack("<Q", 31) + b'{"a":{"data_offsets":[0,true]}}', "damaged"),
        (struct.pack("<Q", 29) + b'{"a":{"data_offsets":[0,-1]}}', "damaged"),
        (struct.pack("<Q", 29) + b'{"a":{"data_offsets":[0, 9]}}' + bytes(8), "cut off"),
    ],
)
def test_a_broken_file_gets_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=message) as caught:
        tensor_bytes(path)
    assert str(path) in caught.value.message


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_or_damaged_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    size = shard(tmp_path, "x.safetensors")
    path = tmp_path / "x.safetensors"
    content = bytearray(path.read_bytes())
    assert tensor_bytes(path) == size
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(ConfigError):
        tensor_bytes(path)

    place = data.draw(st.integers(0, len(content) - 1))
    content[place : place + 1] = data.draw(st.binary(min_size=1, max_size=1))
    path.write_bytes(content)
    with contextlib.suppress(ConfigError):
        assert tensor_bytes(path) <= len(content)


@pytest.mark.parametrize("content", ["{", "[]", '{"num_hidden_layers": 2}'])
def test_a_broken_config_is_named_with_its_folder(folder: Path, content: str) -> None:
    shard(folder, "model.safetensors")
    (folder / "config.json").write_text(content)

    with pytest.raises(ConfigError) as caught:
        read_metadata(folder)
    assert str(folder / "config.json") in caught.value.message


def test_each_form_is_known_by_what_is_there(folder: Path) -> None:
    write(folder / "model.gguf")
    shard(folder, "model.safetensors")

    by_file, by_folder = read_metadata(folder / "model.gguf"), read_metadata(folder)
    assert by_file is not None
    assert by_folder is not None
    assert (by_file.layers, by_folder.layers) == (3, 32)


def test_what_has_neither_form_is_left(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"x")

    assert read_metadata(folder) is None
    assert read_metadata(folder / "model.bin") is None
    assert read_metadata(folder / "nothing.gguf") is None


def test_what_cannot_be_read_is_the_host_s_fault(tmp_path: Path) -> None:
    # a folder cannot be opened as a file, whoever asks
    with pytest.raises(HostError, match="cannot read"):
        tensor_bytes(tmp_path)
    with pytest.raises(HostError, match="cannot read"):
        read_header(tmp_path)
