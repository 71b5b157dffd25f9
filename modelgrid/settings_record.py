"""What the configuration says, kept beside what was made of it, so that a plan can tell a change in its words.

``emit`` writes it and ``apply`` reads it; nothing that runs does, so a change of it alone touches no unit. Bump the
version when an older ``apply`` could no longer read the file rightly.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name of the file in a compiled tree.
SETTINGS = "settings.json"

SETTINGS_VERSION = 1


def dump_settings(settings: Mapping[str, Any]) -> str:
    """Write *settings*, values as JSON has them by path (``$.models.qwen.context``): sorted, and always the same."""
    value = {"settings_version": SETTINGS_VERSION, "settings": dict(settings)}
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def load_settings(text: str) -> Mapping[str, Any]:
    """Read the settings by path. A file of another form or version has none: they only explain."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict) or value.get("settings_version") != SETTINGS_VERSION:
        return {}
    settings = value.get("settings")
    return settings if isinstance(settings, dict) else {}
