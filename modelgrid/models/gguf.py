"""Reads the header of GGUF files: what they say of themselves, and the sizes of their tensors.

The format: ggml docs/gguf.md. Only the header is read, never a tensor. A file may come from anywhere, so every count
is held against the bytes that are there before anything is made of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn, TypeAlias

from modelgrid.errors import ConfigError, HostError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What is kept of a value: text, a number, numbers, or how many entries a longer list has.
Value: TypeAlias = "str | int | float | bool | tuple[int | float | bool, ...] | Length"

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_ALIGNMENT: Final = 32

#: struct's letter for each type of a scalar (enum gguf_metadata_value_type).
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9

#: Bytes of a block of so many values, by the type of a tensor (enum ggml_type, and its traits in ggml.c).
_SIZES: Final[Mapping[int, Mapping[int, int]]] = {
    1: {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2},
    32: {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 9: 40, 20: 18, 39: 17},
    64: {40: 36},
    128: {41: 18},
    256: {10: 84, 11: 110, 12: 144, 13: 176, 14: 210, 15: 292, 16: 66, 17: 74, 18: 98, 19: 50}
    | {21: 110, 22: 82, 23: 136, 29: 56, 34: 54, 35: 66},
}
_BLOCKS: Final = {kind: (values, size) for values, sizes in _SIZES.items() for kind, size in sizes.items()}

#: Far above what models have: the header of one with 256,000 tokens and as many merges takes 20 MB.
_MOST_HEADER: Final = 256 * 1024**2
_MOST_STRINGS: Final = 4_000_000
_MOST_FIELDS: Final = 65_536
_MOST_TENSORS: Final = 100_000
#: llama.cpp takes no more (GGML_MAX_DIMS).
_MOST_DIMENSIONS: Final = 4
#: Longer text and lists are not kept: none of them tells a size.
_KEPT_TEXT: Final = 1024
_KEPT_LIST: Final = 8192

_CHUNK: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Length:
    """Stands for a list that is not kept: it has *count* entries."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What one file says. *tensors*: the bytes of all its tensors, without what pads them."""

    values: Mapping[str, Value] = field(repr=False)
    tensors: int


def read_header(path: Path) -> GgufHeader:
    """Read the header of the file *path*.

    The bytes of tensors are worked out from their types and dimensions, which is exact. Where a type is not known
    here, all that follows the header counts: a little more, for it has padding.

    Raises:
        ConfigError: it is no GGUF file of version 2 or 3, little-endian, or it is damaged or cut off.
        HostError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file).header()
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", hint="let this user read it") from error


class _Reader:
    """Goes through the header once, with a bounded part of it in memory."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.size = file.seek(0, 2)
        file.seek(0)
        self.buffer = b""
        #: Where in *buffer* the next byte is, and where in the file *buffer* starts.
        self.offset = 0
        self.start = 0
        self.strings = 0

    def header(self) -> GgufHeader:
        self._check_form()
        tensors = self._count("Q", least=24, most=_MOST_TENSORS, what="tensors")
        fields = self._count("Q", least=13, most=_MOST_FIELDS, what="fields")
        values: dict[str, Value] = {}
        for _ in range(fields):
            key = self._text()
            if key in values:
                self._damaged(f"it has {key[:64]!r} twice")
            values[key] = self._value()
        sizes = [self._tensor() for _ in range(tensors)]
        return GgufHeader(values=values, tensors=self._bytes_of(sizes, values))

    def _check_form(self) -> None:
        if self.take(4) != _MAGIC:
            raise ConfigError(f"{self.path} is no GGUF file", hint="GGUF files start with the letters GGUF")
        version = self._number("I")
        if version & 0xFFFF == 0 and version:
            raise ConfigError(f"{self.path} is a big-endian GGUF file", hint="use one for little-endian machines")
        if version not in _VERSIONS:
            raise ConfigError(
                f"{self.path} is a GGUF file of version {version}", hint="use one of version 2 or 3: convert it anew"
            )

    def take(self, count: int) -> bytes:
        """Return the next *count* bytes, which are few."""
        if self.offset + count > len(self.buffer):
            self._fill(count)
        taken = self.buffer[self.offset : self.offset + count]
        self.offset += count
        return taken

    def _fill(self, count: int) -> None:
        at = self.start + self.offset
        self._hold(count)
        self.file.seek(at)
        self.buffer = self.file.read(max(count, _CHUNK))
        self.start, self.offset = at, 0
        if len(self.buffer) < count:
            self._cut_off()

    def _hold(self, count: int) -> None:
        """Refuse to go on where fewer than *count* bytes are left, or the header has no end."""
        end = self.start + self.offset + count
        if end > self.size:
            self._cut_off()
        if end > _MOST_HEADER:
            self._damaged("its header is larger than that of any model")

    def _skip(self, count: int) -> None:
        self._hold(count)
        self.offset += count

    def _number(self, letter: str) -> int:
        (number,) = struct.unpack(f"<{letter}", self.take(struct.calcsize(f"<{letter}")))
        assert isinstance(number, int), letter
        return number

    def _count(self, letter: str, *, least: int, most: int, what: str) -> int:
        """Read how many of something follow, each of which takes at least *least* bytes."""
        count = self._number(letter)
        if count > most:
            self._damaged(f"it claims {count} {what}")
        self._hold(count * least)
        return count

    def _text(self) -> str:
        length = self._number("Q")
        if length > _KEPT_TEXT:
            self._skip(length)
            return ""
        return self.take(length).decode("utf-8", "replace")

    def _value(self) -> Value:
        kind = self._number("I")
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._list()
        values = self._scalars(kind, 1)
        return values[0]

    def _scalars(self, kind: int, count: int) -> tuple[int | float | bool, ...]:
        letter = _SCALARS.get(kind)
        if letter is None:
            self._damaged(f"it has a value of the unknown type {kind}")
        form = f"<{count}{letter}"
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def _list(self) -> Value:
        kind = self._number("I")
        count = self._number("Q")
        if kind == _STRING:
            self._skip_strings(count)
        elif kind in _SCALARS:
            if count <= _KEPT_LIST:
                return self._scalars(kind, count)
            self._skip(count * struct.calcsize(f"<{_SCALARS[kind]}"))
        else:
            # lists in lists: the format has them, llama.cpp refuses them too
            self._damaged(f"it has a list of the unknown type {kind}")
        return Length(count)

    def _skip_strings(self, count: int) -> None:
        self.strings += count
        if self.strings > _MOST_STRINGS:
            self._damaged(f"it claims {self.strings} strings")
        self._hold(count * 8)
        unpack = struct.Struct("<Q").unpack_from
        for _ in range(count):
            if self.offset + 8 > len(self.buffer):
                self._fill(8)
            (length,) = unpack(self.buffer, self.offset)
            self.offset += 8
            # the next fill, or the check below, sees where this leads beyond the end
            self.offset += length
        self._hold(0)

    def _tensor(self) -> tuple[int | None, int]:
        """Read about one tensor: its bytes, none where its type is not known, and where it starts."""
        self._text()
        dimensions = self._number("I")
        if dimensions > _MOST_DIMENSIONS:
            self._damaged(f"it has a tensor with {dimensions} dimensions")
        values = 1
        lengths = struct.unpack(f"<{dimensions}Q", self.take(8 * dimensions))
        for length in lengths:
            values *= length
        kind, offset = self._number("I"), self._number("Q")
        if kind not in _BLOCKS:
            return None, offset
        block, size = _BLOCKS[kind]
        if lengths and lengths[0] % block:
            self._damaged("it has a tensor whose rows are no whole blocks")
        return values // block * size, offset

    def _bytes_of(self, sizes: list[tuple[int | None, int]], values: Mapping[str, Value]) -> int:
        alignment = values.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            self._damaged("its alignment is no power of two")
        header = -(-(self.start + self.offset) // alignment) * alignment
        end = max((offset + (size or 0) for size, offset in sizes), default=0)
        if header + end > self.size and sizes:
            self._cut_off()
        known = [size for size, _ in sizes if size is not None]
        if len(known) == len(sizes):
            if sum(known) > self.size:
                self._damaged("its tensors lie over each other")
            return sum(known)
        return self.size - header

    def _cut_off(self) -> NoReturn:
        raise ConfigError(f"{self.path} is cut off after {self.size} bytes", hint="fetch it again: its end is missing")

    def _damaged(self, why: str) -> NoReturn:
        raise ConfigError(f"{self.path} is a damaged GGUF file: {why}", hint="fetch it again")
