"""What an estimate of memory needs to know of a model, whatever form its files have."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one layer keeps of the tokens that it has seen.

    Attributes:
        kv_heads: heads whose keys and values are cached; 0 where it caches none.
        key_length: values per token and head for keys.
        value_length: the same for values; 0 where the keys are all that is cached, as with DeepSeek's latent attention.
        window: tokens that it looks back, where it slides; none where it sees the whole context.
        state: values per request whatever its length: what layers without attention keep (Mamba, RWKV).
    """

    kv_heads: int = 0
    key_length: int = 0
    value_length: int = 0
    window: int | None = None
    state: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """*count* layers of the model that are as *layer*."""

    count: int
    layer: Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetadata:
    """A model's sizes.

    Attributes:
        architecture: its name in the model's own files.
        weights: bytes of all its tensors.
        groups: its layers, alike ones together.
        embedding: values of a token between layers.
        feed_forward: values of a token inside the widest layer, over all experts that one token takes.
        vocabulary: tokens that it tells apart; 0 where not known.
        train_context: tokens that it was made for; none where the files do not say.
    """

    architecture: str
    weights: int
    groups: tuple[LayerGroup, ...]
    embedding: int
    feed_forward: int
    vocabulary: int
    train_context: int | None

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return sum(group.count for group in self.groups)

    @property
    def caches(self) -> bool:
        """Whether its need grows with the context: models that only embed cache nothing."""
        return any(group.layer.kv_heads for group in self.groups)


def group_layers(layers: Iterable[Layer]) -> tuple[LayerGroup, ...]:
    """Put alike *layers* together, in the order in which each kind comes first."""
    return tuple(LayerGroup(count=count, layer=layer) for layer, count in Counter(layers).items())
