"""The header of a GGUF file is read as llama.cpp's own writer wrote it; a broken one gets a sentence."""

from __future__ import annotations

import struct
import time
import tracemalloc
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGUFEndian
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelgrid.errors import ConfigError
from modelgrid.models import gguf as reader
from modelgrid.models.estimate import estimate
from modelgrid.models.gguf import Length, read_header
from modelgrid.models.gguf_metadata import read_gguf
from tests.models.ggufs import write

if TYPE_CHECKING:
    from pathlib import Path

FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ALIGNMENT = 32


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write(tmp_path / "model.gguf")
    return tmp_path / "model.gguf"


def pack(*parts: tuple[str, int | float] | bytes) -> bytes:
    return b"".join(part if isinstance(part, bytes) else struct.pack(f"<{part[0]}", part[1]) for part in parts)


def text(word: bytes) -> bytes:
    return struct.pack("<Q", len(word)) + word


def head(*, tensors: int = 0, fields: int = 0, version: int = 3) -> bytes:
    return pack(b"GGUF", ("I", version), ("Q", tensors), ("Q", fields))


def refused(folder: Path, content: bytes) -> str:
    path = folder / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_header(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value.message


def test_fields_and_sizes_are_those_that_were_written(tmp_path: Path) -> None:
    written = write(tmp_path / "model.gguf", tokens=9000)

    header = read_header(tmp_path / "model.gguf")

    assert header.tensors == written
    assert header.values["general.architecture"] == "llama"
    assert header.values["llama.block_count"] == 3
    assert header.values["tokenizer.ggml.tokens"] == Length(9000)
    assert header.values["tokenizer.ggml.scores"] == Length(9000)
    theirs = gguf.GGUFReader(tmp_path / "model.gguf")
    assert header.tensors == sum(int(tensor.n_bytes) for tensor in theirs.tensors)


def test_short_lists_of_numbers_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "model.gguf", fields={"heads": [1, 2, 3], "slides": [True, False], "causal": False})

    values = read_header(tmp_path / "model.gguf").values

    assert values["llama.heads"] == (1, 2, 3)
    assert values["llama.slides"] == (True, False)
    assert values["llama.causal"] is False


def test_every_type_of_a_tensor_has_llama_cpp_s_size() -> None:
    theirs = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}

    assert {kind: theirs[kind] for kind in reader._BLOCKS} == reader._BLOCKS


def test_a_tensor_of_an_unknown_type_counts_as_all_that_follows_the_header(tmp_path: Path) -> None:
    header = head(tensors=1) + text(b"x") + pack(("I", 1), ("Q", 999), ("I", 777), ("Q", 0))
    data = -(-len(header) // ALIGNMENT) * ALIGNMENT
    path = tmp_path / "new.gguf"
    path.write_bytes(header.ljust(data, b"\0") + bytes(500))

    assert read_header(path).tensors == 500


def test_version_2_is_read(model: Path) -> None:
    content = model.read_bytes()
    model.write_bytes(content[:4] + struct.pack("<I", 2) + content[8:])

    assert read_header(model).values["llama.block_count"] == 3


def test_a_big_endian_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "big.gguf", endianess=GGUFEndian.BIG)

    with pytest.raises(ConfigError, match=r"big\.gguf is a big-endian GGUF file"):
        read_header(tmp_path / "big.gguf")


STRING, ARRAY = ("I", 8), ("I", 9)
WIDE = 2**64 - 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is cut off after 0 bytes"),
        (b"GGU", "is cut off after 3 bytes"),
        (b"ggml" + bytes(40), "is no GGUF file"),
        (head(version=1), "is a GGUF file of version 1"),
        (head(version=0), "is a GGUF file of version 0"),
        (head(fields=WIDE), f"it claims {WIDE} fields"),
        (head(tensors=WIDE), f"it claims {WIDE} tensors"),
        (head(tensors=1000), "is cut off"),
        (head(fields=1000), "is cut off"),
        (head(fields=1) + pack(("Q", WIDE)) + bytes(20), "is cut off"),
        (head(fields=1) + text(b"a") + pack(STRING, ("Q", WIDE)), "is cut off"),
        (head(fields=1) + text(b"a") + pack(("I", 99), ("Q", 0)), "unknown type 99"),
        (head(fields=1) + text(b"a") + pack(ARRAY, ("I", 9), ("Q", 1), ("Q", 0)), "a list of the unknown type 9"),
        (head(fields=1) + text(b"a") + pack(ARRAY, ("I", 4), ("Q", WIDE)), "is cut off"),
        (head(fields=1) + text(b"a") + pack(ARRAY, STRING, ("Q", WIDE)), f"it claims {WIDE} strings"),
        (head(fields=1) + text(b"a") + pack(ARRAY, STRING, ("Q", 1), ("Q", WIDE)), "is cut off"),
        (head(fields=2) + (text(b"a") + pack(("I", 4), ("I", 0))) * 2, "it has 'a' twice"),
        (head(tensors=1) + text(b"x") + pack(("I", 5)) + bytes(99), "a tensor with 5 dimensions"),
        (head(tensors=1) + text(b"x") + pack(("I", 1), ("Q", 31), ("I", 8), ("Q", 0)), "no whole blocks"),
        (head(tensors=1) + text(b"x") + pack(("I", 1), ("Q", WIDE), ("I", 0), ("Q", 0)), "is cut off"),
        (head(fields=1) + text(b"general.alignment") + pack(("I", 4), ("I", 3)), "no power of two"),
        (head(fields=1) + text(b"general.alignment") + pack(STRING, text(b"x")), "no power of two"),
    ],
)
def test_a_broken_file_gets_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in refused(tmp_path, content)


def test_tensors_that_lie_over_each_other_are_refused(tmp_path: Path) -> None:
    tensor = pack(("I", 1), ("Q", 300), ("I", 0), ("Q", 0))
    header = head(tensors=2) + text(b"x") + tensor + text(b"y") + tensor

    assert "lie over each other" in refused(tmp_path, header.ljust(160, b"\0") + bytes(1200))


def hostile(folder: Path, *, strings: int) -> Path:
    """A header of *strings* empty strings and then a gibibyte of numbers, in a sparse file of two."""
    path = folder / "hostile.gguf"
    with path.open("wb") as file:
        file.write(head(fields=2) + text(b"a") + pack(ARRAY, STRING, ("Q", strings)))
        file.seek(8 * strings, 1)
        file.write(text(b"b") + pack(ARRAY, ("I", 10), ("Q", 2**27)))
        file.truncate(2**31)
    return path


def test_a_header_of_hostile_length_takes_little_time(tmp_path: Path) -> None:
    path = hostile(tmp_path, strings=3_999_999)
    started = time.process_time()
    with pytest.raises(ConfigError, match="larger than that of any model"):
        read_header(path)

    assert time.process_time() - started < 10  # it takes less than one


def test_a_header_of_hostile_length_takes_little_memory(tmp_path: Path) -> None:
    path = hostile(tmp_path, strings=200_000)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="larger than that of any model"):
            read_header(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * 1024**2


@FUZZ
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused(model: Path, data: st.DataObject) -> None:
    content = model.read_bytes()
    # the last tensor ends in padding, which nothing needs
    end = content.rindex(struct.pack("<f", 1)) + 4
    cut = model.with_name("cut.gguf")
    cut.write_bytes(content[: data.draw(st.integers(0, end - 1))])

    with pytest.raises(ConfigError):
        read_gguf(cut)


@FUZZ
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(model: Path, data: st.DataObject) -> None:
    content = bytearray(model.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 9))
        new = data.draw(st.binary(min_size=1, max_size=1) | st.sampled_from([bytes(8), b"\xff" * 8, b"\xff" * 4]))
        content[place : place + len(new)] = new
    damaged = model.with_name("damaged.gguf")
    damaged.write_bytes(content)

    try:
        found = estimate(read_gguf(damaged), context=4096, parallel=2)
    except ConfigError:
        return
    assert found.total >= found.weights


@FUZZ
@given(noise=st.binary(max_size=300))
def test_noise_after_the_magic_is_refused_or_read(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "noise.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + noise)

    with pytest.raises(ConfigError):
        read_gguf(path)


def test_quantized_tensors_have_the_size_that_their_blocks_have(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    block = np.zeros((3, 34), dtype=np.uint8)
    writer.add_tensor("x", block, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    assert read_header(path).tensors == 3 * 34
