"""What the ``source`` of a model means. Pure: nothing is looked up, on disk or elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import TypeVar

from modelgrid.errors import ConfigError

_REPOSITORY = "hf://"
_PACKAGE = "package://"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_REPOSITORY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\Z")
#: Names of Python distributions as the core metadata specification has them.
_PACKAGE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_WEIGHTS_SUFFIXES = (".gguf", ".safetensors")

AnyPath = TypeVar("AnyPath", bound=PurePath)


class SourceKind(Enum):
    """Who has the weights. The values are the words of the engine catalogue."""

    PATH = "path"
    PACKAGE = "package"
    REPOSITORY = "repository"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where weights come from.

    Attributes:
        kind: PATH, a file or folder of the host; PACKAGE, a Python distribution that carries them; REPOSITORY, one
            of Hugging Face; NAME, the engine knows them by that name.
        value: the path; the distribution's name, normalised; ``ORG/NAME``; the engine's name.
    """

    kind: SourceKind
    value: str


def parse_source(text: str) -> Source:
    """Read the ``source`` of a model.

    ``hf://ORG/NAME`` and ``package://NAME`` say what they are. Of the rest, a path is what starts with ``/``, ``./``,
    ``../`` or a Windows drive, or ends in ``.gguf`` or ``.safetensors``; all else is the engine's own name.

    Raises:
        ConfigError: another scheme, a form that the scheme does not have, or a path from ``~``.
    """
    if text.startswith(_REPOSITORY):
        name = text.removeprefix(_REPOSITORY)
        if not _REPOSITORY_NAME.match(name):
            raise ConfigError(f"{text!r} names no repository", hint="write hf://ORG/NAME")
        return Source(kind=SourceKind.REPOSITORY, value=name)
    if text.startswith(_PACKAGE):
        name = text.removeprefix(_PACKAGE)
        if not _PACKAGE_NAME.match(name):
            raise ConfigError(f"{text!r} names no Python package", hint="write package://NAME")
        return Source(kind=SourceKind.PACKAGE, value=re.sub(r"[-_.]+", "-", name).lower())
    if scheme := _SCHEME.match(text):
        raise ConfigError(
            f"source has the scheme {scheme[1]}, which ModelGrid does not know",
            hint="write a path, hf://ORG/NAME, package://NAME, or the engine's own name of the model",
        )
    if text.startswith("~"):
        raise ConfigError(f"the source {text!r} starts with ~, which only a shell expands", hint="write the whole path")
    if _is_path(text):
        return Source(kind=SourceKind.PATH, value=text)
    return Source(kind=SourceKind.NAME, value=text)


def _is_path(text: str) -> bool:
    return (
        text in {".", ".."}
        or text.startswith(("/", "./", "../", ".\\", "..\\"))
        or _WINDOWS_DRIVE.match(text) is not None
        or text.lower().endswith(_WEIGHTS_SUFFIXES)
    )


def package_path(source: Source, cache_dir: AnyPath) -> AnyPath:
    """Return where the weights of the PACKAGE *source* lie below *cache_dir* once they are unpacked.

    It follows from the names alone: ``package://x-gguf`` is ``x.gguf``. The normalised name of a distribution has no
    dot, so no other one gets the same file.
    """
    assert source.kind is SourceKind.PACKAGE, source
    stem = source.value.removesuffix("-gguf")
    return cache_dir / (f"{stem}.gguf" if stem != source.value else stem)


def module_name(source: Source) -> str:
    """Return the module that carries the weights of the PACKAGE *source*."""
    return source.value.replace("-", "_")
