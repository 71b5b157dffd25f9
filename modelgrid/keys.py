"""Makes API keys. Only the SHA-256 of a key is ever written down."""

from __future__ import annotations

import hashlib
import secrets

#: Marks a key as one of ModelGrid's, for people and for scanners of leaked secrets.
PREFIX = "sk-mg-"

_RANDOM_BYTES = 32


def new_key() -> tuple[str, str]:
    """Return a new key and its SHA-256, 64 hex digits.

    The key is the prefix and 32 random bytes of the system's generator in URL-safe base64. A plain hash is enough
    for it: 256 random bits cannot be guessed, as a password could.
    """
    key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    return key, hashlib.sha256(key.encode()).hexdigest()
