"""A model's sizes as facts that a lock file can keep, and from them again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from modelgrid.errors import ConfigError
from modelgrid.models.config_json import metadata_from_config
from modelgrid.models.metadata import Layer, LayerGroup, ModelMetadata
from modelgrid.models.numbers import Numbers
from modelgrid.models.safetensors import CONFIG, INDEX, index_files, parse_json, weight_files

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHERE: Final = "the lock file"
_MOST_GROUPS: Final = 4096

#: Count, heads, lengths of a key and a value; then the window where there is one, and the state.
_GROUP = re.compile(
    r"(?P<count>[0-9]{1,5})x(?P<kv_heads>[0-9]{1,9})/(?P<key_length>[0-9]{1,9})/(?P<value_length>[0-9]{1,9})"
    r"(?:@(?P<window>[0-9]{1,9}))?(?:\+(?P<state>[0-9]{1,12}))?\Z",
    re.ASCII,
)


def to_facts(metadata: ModelMetadata) -> dict[str, str | int]:
    """Write *metadata* so that :func:`from_facts` reads the same.

    ``layers`` has the groups: ``15x1/256/256@512`` are fifteen layers that cache one head, with keys and values of 256,
    and look back 512 tokens; ``+99`` tells a state.
    """
    facts: dict[str, str | int] = {
        "architecture": metadata.architecture,
        "embedding": metadata.embedding,
        "feed_forward": metadata.feed_forward,
        "layers": " ".join(_write(group) for group in metadata.groups),
        "vocabulary": metadata.vocabulary,
        "weights": metadata.weights,
    }
    if metadata.train_context is not None:
        facts["train_context"] = metadata.train_context
    return facts


def from_facts(facts: Mapping[str, object]) -> ModelMetadata | None:
    """Read what :func:`to_facts` wrote; none where there are no *facts*.

    Raises:
        ConfigError: they are not what it writes.
    """
    if not facts:
        return None
    numbers = Numbers({key: value for key, value in facts.items() if key != "weights"}, _WHERE)
    architecture, layers, weights = (facts.get(name) for name in ("architecture", "layers", "weights"))
    if not isinstance(architecture, str) or not isinstance(layers, str):
        raise _unreadable("layers")
    # the only number that may be larger than any length
    if isinstance(weights, bool) or not isinstance(weights, int) or not 0 <= weights < 2**63:
        raise _unreadable("weights")
    words = layers.split()
    if len(words) > _MOST_GROUPS:
        raise _unreadable("layers")
    return ModelMetadata(
        architecture=architecture,
        weights=weights,
        groups=tuple(map(_group, words)),
        embedding=numbers.get("embedding"),
        feed_forward=numbers.get("feed_forward"),
        vocabulary=numbers.get("vocabulary"),
        train_context=numbers.optional("train_context") or None,
    )


def describe(contents: Mapping[str, bytes], sizes: Mapping[str, int]) -> dict[str, str | int]:
    """Return the facts of a model that lies elsewhere; none where it cannot be understood.

    *contents* are its config.json and model.safetensors.index.json as far as it has them, *sizes* the bytes of all its
    files by their names. The headers of weights count too, some kilobytes each.
    """
    if CONFIG not in contents:
        return {}
    try:
        config = parse_json(contents[CONFIG], CONFIG)
        listed = index_files(parse_json(contents[INDEX], INDEX)) if INDEX in contents else None
        files = weight_files(sizes, listed)
        if not files or any(name not in sizes for name in files):
            return {}
        return to_facts(metadata_from_config(config, sum(sizes[name] for name in files)))
    except ConfigError:
        # it may be of a kind that is not known here: its memory can be given
        return {}


def _write(group: LayerGroup) -> str:
    layer = group.layer
    window = "" if layer.window is None else f"@{layer.window}"
    state = f"+{layer.state}" if layer.state else ""
    return f"{group.count}x{layer.kv_heads}/{layer.key_length}/{layer.value_length}{window}{state}"


def _group(word: str) -> LayerGroup:
    match = _GROUP.match(word)
    if match is None:
        raise _unreadable("layers")
    numbers = {name: int(text) for name, text in match.groupdict().items() if text is not None}
    return LayerGroup(count=numbers.pop("count"), layer=Layer(**numbers))


def _unreadable(name: str) -> ConfigError:
    return ConfigError(f"{_WHERE} has facts of a model whose {name} cannot be read", hint="lock the model anew")
