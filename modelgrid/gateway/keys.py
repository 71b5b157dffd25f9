"""Who is asking: API keys, known only by their SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from modelgrid.gateway.openai import ApiError
from modelgrid.manifest import ManifestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.manifest import Key, Keys

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([\x21-\x7e]+) *")
_CHALLENGE = ((b"www-authenticate", b"Bearer"),)


class Keyring:
    """All keys by digest. Empty: nobody is asked for one.

    Attributes:
        sha256: of the file's bytes, in hex; empty where they come from no file.
    """

    __slots__ = ("_keys", "sha256")

    def __init__(self, keys: Keys, *, sha256: str = "") -> None:
        """Index the keys.

        Raises:
            ManifestError: a hash is no SHA-256 in hex, or two keys have the same.
        """
        self.sha256 = sha256
        self._keys: dict[bytes, Key] = {}
        for key in keys.keys:
            if not re.fullmatch(r"[0-9a-f]{64}", key.sha256):
                raise ManifestError(f"the hash of key {key.name!r} is not a SHA-256 of 64 hex digits")
            digest = bytes.fromhex(key.sha256)
            if digest in self._keys:
                raise ManifestError(f"keys {self._keys[digest].name!r} and {key.name!r} are the same key")
            self._keys[digest] = key

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, secret: bytes) -> Key | None:
        """The key with this secret.

        What is looked up is a digest, which no caller can steer towards a stored one; the last comparison
        takes the same time for every digest all the same.
        """
        digest = hashlib.sha256(secret).digest()
        key = self._keys.get(digest)
        if key is None or not hmac.compare_digest(key.sha256, digest.hex()):
            return None
        return key

    def authenticate(self, authorization: Sequence[bytes]) -> Key | None:
        """The caller's key, from all values of its Authorization header; None where no key is needed.

        Raises:
            ApiError: 401: there is not exactly one header, it is no ``Bearer`` (RFC 6750), or the key is unknown.
        """
        if len(authorization) > 1:
            raise _refused("There must be exactly one Authorization header.")
        if not self._keys:
            return None
        if not authorization:
            raise _refused("You did not provide an API key: send it as `Authorization: Bearer YOUR_KEY`.")
        bearer = _BEARER.fullmatch(authorization[0])
        key = self.find(bearer[1]) if bearer else None
        if key is None:
            raise _refused("Incorrect API key provided.")
        return key


def _refused(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key", headers=_CHALLENGE)
