"""Takes numbers out of what files say of models: files that may come from anywhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from modelgrid.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: No length of any model comes near; products of a few of them stay far below what a float can hold.
_LARGEST: Final = 2**32
_MOST_LAYERS: Final = 4096
HINT: Final = "say with `vram` what the model takes"
#: Names end up in lock files, which people review.
_NAME: Final = re.compile(r"[!-~]{1,64}\Z")


def architecture_name(value: object, where: str) -> str:
    """Return *value*, what *where* calls the architecture of its model.

    Raises:
        ConfigError: it is no short word of printable ASCII, as all names of architectures are.
    """
    if not isinstance(value, str) or not _NAME.match(value):
        raise ConfigError(f"{where} names an architecture that no model has", hint=HINT)
    return value


class Numbers:
    """Whole numbers by their names. *where* says in messages what has them."""

    def __init__(self, values: Mapping[str, object], where: str) -> None:
        self.values = values
        self.where = where

    def optional(self, *names: str) -> int | None:
        """Return the first of *names* that is there.

        Raises:
            ConfigError: it is no whole number from 0 that a model could have.
        """
        for name in names:
            value = self.values.get(name)
            if value is not None:
                return self._checked(name, value)
        return None

    def get(self, *names: str, default: int = 0) -> int:
        """Return the first of *names* that is there, else *default*."""
        found = self.optional(*names)
        return default if found is None else found

    def need(self, *names: str) -> int:
        """Return the first of *names* that is there.

        Raises:
            ConfigError: none is, or it is 0.
        """
        found = self.optional(*names)
        if not found:
            raise ConfigError(f"{self.where} does not say {names[0]}", hint=HINT)
        return found

    def layers(self, *names: str) -> int:
        """Return how many layers there are, in the first of *names*."""
        count = self.need(*names)
        if count > _MOST_LAYERS:
            raise ConfigError(f"{self.where} has {names[0]} = {count}, more than any model", hint=HINT)
        return count

    def each(self, *names: str, layers: int) -> list[int] | None:
        """Return a number per layer: the first of *names* that is there, which has one for all or one for each."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if not isinstance(value, list | tuple):
                return [self._checked(name, value)] * layers
            # llama.cpp takes a longer list and leaves the rest unread
            if len(value) < layers:
                raise ConfigError(f"{self.where} has {name} for {len(value)} of {layers} layers", hint=HINT)
            return [self._single(name, item) for item in value[:layers]]
        return None

    def _checked(self, name: str, value: object) -> int:
        if isinstance(value, list | tuple) and value:
            # one length for each layer where one is wanted: the largest holds for all
            return max(self._single(name, item) for item in value)
        return self._single(name, value)

    def _single(self, name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST:
            raise ConfigError(f"{self.where} has {name} = {_shown(value)}, which no model has", hint=HINT)
        return value


def _shown(value: object) -> str:
    """Return *value* for a message. What is no single value is not shown: it may be nested as deep as Python goes."""
    return ascii(value)[:40].strip("'") if isinstance(value, str | int | float) else f"a {type(value).__name__}"
