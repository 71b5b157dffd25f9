"""What the keys of a quadlet are on podman's command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.podman_keys import Reader
from modelgrid.emit.words import split_words

if TYPE_CHECKING:
    from modelgrid.emit.podman_keys import PodmanKey

#: What quadlet takes for true.
TRUE = frozenset({"1", "yes", "true", "on"})


def option_words(key: PodmanKey, value: str) -> list[str]:
    """Return the arguments of podman that *value*, as it stands in a quadlet, becomes: ``--memory=1g``.

    Specifiers and variables stay as they are written, for systemd to expand.
    """
    match key.reader:
        case Reader.BOOLEAN:
            return [f"{key.option}={'true' if value.lower() in TRUE else 'false'}"]
        case Reader.FLAG:
            return [f"{key.option}={key.prefix}"] if value.lower() in TRUE else []
        case Reader.STRV:
            values = split_words(value, escapes=False)
        case Reader.ARGS | Reader.KEYVAL | Reader.LAST_ARGS:
            values = split_words(value, escapes=True)
        case Reader.LOOKUP | Reader.ALL | Reader.NUMBER:
            values = [value]
    return [f"{key.option}={key.prefix}{text}" for text in values]
