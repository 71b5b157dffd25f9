"""The one field of a request that the gateway reads and may change: ``model``. Pure.

What is checked must be what the engine reads. Parsers differ where an object has a key twice, and some
(Go's, behind Ollama) take ``Model`` for ``model``; such bodies are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from modelgrid.gateway.openai import ApiError

_FIELDS_LIMIT = 256
_NAME_LIMIT = 256

#: From the end of one value to the start of the next. The decoder has seen before that the text is JSON.
_TO_VALUE = re.compile(rb'[\s,{]*"(?:[^"\\]|\\.)*"\s*:\s*', re.DOTALL)


class _FieldName(str):
    """A key of the outermost object: a type of its own, so that the decoder calls back for every one."""

    __slots__ = ()


_STREAM = _FieldName("stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peek:
    """What the gateway knows of a body.

    Attributes:
        model: the name asked for.
        stream: whether the answer was asked for as a stream.
    """

    model: str
    stream: bool
    _body: bytes
    _start: int
    _end: int

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self._body)

    def with_model(self, name: str) -> bytes:
        """The body with *name* as its model, every other byte as it was."""
        if name == self.model:
            return self._body
        return self._body[: self._start] + msgspec.json.encode(name) + self._body[self._end :]


class _Reader:
    """Splits an object into its fields, in C, and sees every key on the way. Not for two threads at once."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._decoder = msgspec.json.Decoder(dict[_FieldName, msgspec.Raw], dec_hook=self._note)

    def _note(self, _: type, name: str) -> _FieldName:
        self._names.append(name.casefold())
        if len(self._names) > _FIELDS_LIMIT:
            raise ValueError("it has too many fields")
        return _FieldName(name)

    def read(self, body: bytes) -> dict[_FieldName, msgspec.Raw]:
        self._names.clear()
        fields = self._decoder.decode(body)
        if len(set(self._names)) != len(self._names):
            raise ValueError("it has a field twice")
        return fields


_reader = _Reader()
_string = msgspec.json.Decoder(str)


def peek(body: bytes) -> Peek:
    """Read the model's name. Call it from the event loop's thread only.

    Raises:
        ApiError: 400: the body is no JSON object, names no model, or has a key twice.
    """
    try:
        fields = _reader.read(body)
        start, end = _find_value(body, fields, "model")
        model = _string.decode(body[start:end])
    except KeyError:
        raise ApiError(400, "You must provide a model parameter.", param="model") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ApiError(400, f"The body is not the JSON that this endpoint takes: {error}.") from None
    if not 0 < len(model) <= _NAME_LIMIT:
        raise ApiError(400, "The name of the model is empty or too long.", param="model")
    raw = fields.get(_STREAM)
    return Peek(
        model=model,
        stream=raw is not None and bytes(raw) == b"true",
        _body=body,
        _start=start,
        _end=end,
    )


def _find_value(body: bytes, fields: dict[_FieldName, msgspec.Raw], wanted: str) -> tuple[int, int]:
    """Where the value of a key is. Exact, as keys keep their order and raw values their length."""
    at = 0
    for name, value in fields.items():
        key = _TO_VALUE.match(body, at)
        assert key is not None, "the decoder read this as JSON"
        at = key.end() + len(memoryview(value))
        if name == wanted:
            return key.end(), at
    raise KeyError(wanted)
