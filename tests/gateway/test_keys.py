from __future__ import annotations

import hashlib

import pytest

from modelgrid.gateway.keys import Keyring
from modelgrid.gateway.openai import ApiError
from modelgrid.manifest import Key, Keys, ManifestError


def key(name: str, secret: str) -> Key:
    return Key(name=name, sha256=hashlib.sha256(secret.encode()).hexdigest(), models=("*",))


RING = Keyring(Keys(keys=(key("a", "sk-a"), key("b", "sk-b"))))


@pytest.mark.parametrize("value", [b"Bearer sk-b", b"bearer sk-b", b"Bearer   sk-b", b"Bearer sk-b "])
def test_a_key_is_found_by_its_secret(value: bytes) -> None:
    found = RING.authenticate([value])

    assert found is not None
    assert found.name == "b"


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [b"Bearersk-b"],
        [b"Basic sk-b"],
        [b"sk-b"],
        [b"Bearer sk-c"],
        [b"Bearer sk-b sk-b"],
        [b"Bearer\tsk-b"],
        [b"Bearer sk-\xe9"],
        [b"Bearer " + hashlib.sha256(b"sk-b").hexdigest().encode()],
        [b"Bearer sk-b", b"Bearer sk-b"],
    ],
)
def test_anything_else_is_unauthorized(values: list[bytes]) -> None:
    with pytest.raises(ApiError) as caught:
        RING.authenticate(values)

    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    assert "sk-" not in caught.value.message


def test_an_empty_ring_asks_for_nothing() -> None:
    assert Keyring(Keys(keys=())).authenticate([]) is None
    assert Keyring(Keys(keys=())).authenticate([b"Bearer anything"]) is None


def test_two_headers_are_refused_even_where_no_key_is_needed() -> None:
    with pytest.raises(ApiError):
        Keyring(Keys(keys=())).authenticate([b"Bearer x", b"Bearer y"])


@pytest.mark.parametrize("digest", ["", "x" * 64, "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n"])
def test_a_hash_that_is_none_is_refused(digest: str) -> None:
    with pytest.raises(ManifestError, match="not a SHA-256"):
        Keyring(Keys(keys=(Key(name="a", sha256=digest, models=("*",)),)))


def test_the_same_key_twice_is_refused() -> None:
    with pytest.raises(ManifestError, match="the same key"):
        Keyring(Keys(keys=(key("a", "x"), key("b", "x"))))
