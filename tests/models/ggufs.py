"""Writes small GGUF files, with llama.cpp's own writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGUFEndian

if TYPE_CHECKING:
    from pathlib import Path

#: A model of three layers.
FIELDS = {
    "context_length": 4096,
    "embedding_length": 64,
    "block_count": 3,
    "feed_forward_length": 128,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
}


def write(
    path: Path,
    architecture: str = "llama",
    fields: dict[str, int | list[int] | list[bool] | bool] | None = None,
    *,
    tokens: int = 100,
    endianess: GGUFEndian = GGUFEndian.LITTLE,
) -> int:
    """Write a model to *path*; return the bytes of its tensors."""
    writer = GGUFWriter(path, architecture, endianess=endianess)
    for name, value in (FIELDS if fields is None else fields).items():
        key = f"{architecture}.{name}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_uint32(key, value)
    writer.add_token_list([f"token{number}" for number in range(tokens)])
    writer.add_token_scores([0.5] * tokens)
    sizes = 0
    for number in range(3):
        tensor = np.full((5, 7 + number), 1, dtype=np.float32 if number else np.float16)
        writer.add_tensor(f"blk.{number}.weight", tensor)
        sizes += tensor.nbytes
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sizes
