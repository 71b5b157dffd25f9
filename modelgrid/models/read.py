"""Reads what a model is from its own files, whichever form they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

    from modelgrid.models.metadata import ModelMetadata


def read_metadata(path: Path) -> ModelMetadata | None:
    """Read the model at *path*: a GGUF file, or a folder with config.json and safetensors files.

    None where nothing is there, or what is there has neither form: another file, or a folder without those.

    Raises:
        ConfigError: it has the form, and is damaged, cut off or incomplete; or it says what no model has.
        HostError: it cannot be read.
    """
    # imported where a model is read: most commands read none
    from modelgrid.models.gguf_metadata import read_gguf  # noqa: PLC0415
    from modelgrid.models.safetensors import CONFIG, SUFFIX, read_folder  # noqa: PLC0415

    try:
        if path.is_dir():
            model = (path / CONFIG).is_file() and any(entry.name.endswith(SUFFIX) for entry in path.iterdir())
            return read_folder(path) if model else None
        if path.is_file() and path.suffix.lower() == ".gguf":
            return read_gguf(path)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", hint="let this user read it") from error
    return None
