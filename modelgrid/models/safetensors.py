"""Reads a folder with a config.json and safetensors files, as Hugging Face has models.

The format: safetensors README.md, "Format". Only headers are read, never a tensor.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from modelgrid.errors import ConfigError, HostError
from modelgrid.models.config_json import metadata_from_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from modelgrid.models.metadata import ModelMetadata

CONFIG: Final = "config.json"
INDEX: Final = "model.safetensors.index.json"
SUFFIX: Final = ".safetensors"

#: As transformers names its files. Others in the folder may hold the same tensors in another order.
_OWN = re.compile(r"model(-[0-9]+-of-[0-9]+)?\.safetensors\Z", re.ASCII)
#: Mistral's form of the same weights, beside the files of transformers.
_SECOND: Final = "consolidated"

#: The format allows 100 MB; models have some kilobytes per file.
_MOST_HEADER: Final = 16 * 1024**2
_MOST_JSON: Final = 32 * 1024**2


def read_folder(folder: Path) -> ModelMetadata:
    """Read the model in *folder*: its config.json, and the headers of its safetensors files.

    Raises:
        ConfigError: a file is damaged, cut off or missing, or says what no model has.
        HostError: one cannot be read.
    """
    config = parse_json(_read(folder / CONFIG, _MOST_JSON), str(folder / CONFIG))
    index = folder / INDEX
    listed = index_files(parse_json(_read(index, _MOST_JSON), str(index))) if index.is_file() else None
    weights = 0
    for name in weight_files(sorted(path.name for path in folder.glob(f"*{SUFFIX}")), listed):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder / name} is missing: {INDEX} names it", hint="fetch all files of the model")
        weights += tensor_bytes(folder / name)
    try:
        return metadata_from_config(config, weights)
    except ConfigError as error:
        raise ConfigError(error.message.replace(CONFIG, str(folder / CONFIG), 1), hint=error.hint) from error


def weight_files(names: Iterable[str], index: Iterable[str] | None = None) -> tuple[str, ...]:
    """Choose from the *names* of a folder's files those that an engine loads.

    They are those that the *index* names, see :func:`index_files`, which need not be among *names*; else those named
    as transformers does; else all safetensors files but a second form of the same weights.
    """
    if index is not None:
        return tuple(sorted(set(index)))
    files = sorted(name for name in names if name.endswith(SUFFIX) and "/" not in name)
    own = [name for name in files if _OWN.match(name)]
    return tuple(own or [name for name in files if not name.startswith(_SECOND)] or files)


def index_files(index: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files that *index*, the content of a model.safetensors.index.json, names.

    Raises:
        ConfigError: it names none, or one that is not a plain name.
    """
    places = index.get("weight_map")
    files = set(map(str, places.values())) if isinstance(places, dict) else set()
    if not files:
        raise ConfigError(f"{INDEX} names no files", hint="fetch it again")
    for name in files:
        if not name.endswith(SUFFIX) or "/" in name or "\\" in name or "\0" in name:
            raise ConfigError(f"{INDEX} names {name[:64]!r}, which is no file beside it", hint="fetch it again")
    return tuple(sorted(files))


def tensor_bytes(path: Path) -> int:
    """Return the bytes of all tensors in the safetensors file *path*.

    Raises:
        ConfigError: it is damaged or cut off.
        HostError: it cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _MOST_HEADER:
                raise ConfigError(f"{path} is no safetensors file: its header is too long", hint="fetch it again")
            header = file.read(length)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", hint="let this user read it") from error
    data = size - 8 - length
    if data < 0:
        raise ConfigError(f"{path} is cut off after {size} bytes", hint="fetch it again: its end is missing")
    end = 0
    for name, tensor in parse_json(header, str(path)).items():
        if name != "__metadata__":
            end = max(end, _end(tensor, path))
    if end > data:
        raise ConfigError(f"{path} is cut off after {size} bytes", hint="fetch it again: its end is missing")
    # the format has no holes between tensors
    return end


def _end(tensor: object, path: Path) -> int:
    offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
    match offsets:
        case [int(), int(end)] if end >= 0 and not isinstance(end, bool):
            return end
    raise ConfigError(f"{path} is a damaged safetensors file", hint="fetch it again")


def parse_json(content: bytes, where: str) -> dict[str, Any]:
    """Read the JSON object *content*; *where* names it in messages.

    Raises:
        ConfigError: it is none.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is no JSON that can be read", hint="fetch it again") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{where} holds no JSON object", hint="fetch it again")
    return value


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", hint="let this user read it") from error
    if len(content) > most:
        raise ConfigError(f"{path} is larger than that of any model", hint="fetch it again")
    return content
