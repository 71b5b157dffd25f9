"""Model names as unit names, file names and host names allow them."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
_OTHER = re.compile(r"[^a-z0-9]+")

#: A unit name has at most 255 characters (systemd.unit(5)); this leaves room for what stands around a slug.
_LONGEST = 64


def slug(name: str) -> str:
    """Return *name* in lower-case letters, digits and single dashes, different for different names.

    A name that is plain already stays as it is; any other gets six hex digits of its SHA-256 behind it, so
    that ``llama3:8b`` and ``llama3-8b`` do not meet.
    """
    if len(name) <= _LONGEST and _PLAIN.match(name) and "--" not in name:
        return name
    words = _OTHER.sub("-", name.lower()).strip("-")[:_LONGEST].rstrip("-")
    return f"{words}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
