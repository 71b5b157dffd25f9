from __future__ import annotations

import pytest
from hypothesis import given

from modelgrid.lock.references import parse_ollama, parse_reference
from modelgrid.lock.values import Lock, LockedImage, LockedManifest, only, without_tag
from modelgrid.models.sources import parse_source
from tests.lock.strategies import LOCKS

DIGEST = f"sha256:{'a' * 64}"
IMAGE = "docker.io/ollama/ollama:0.17.1"
LOCK = Lock(
    images={
        IMAGE: LockedImage(digest=DIGEST, architectures={"amd64": LockedManifest(digest=f"sha256:{'b' * 64}", size=7)})
    }
)


def test_a_pin_keeps_the_tag_for_the_reader() -> None:
    assert LOCK.pin(IMAGE) == f"{IMAGE}@{DIGEST}"
    assert without_tag(LOCK.pin(IMAGE)) == f"docker.io/ollama/ollama@{DIGEST}"
    assert without_tag("localhost:5000/a:1") == "localhost:5000/a:1"
    assert without_tag(f"localhost:5000/a@{DIGEST}") == f"localhost:5000/a@{DIGEST}"


def test_what_is_not_locked_or_has_a_digest_stays_as_it_is() -> None:
    assert LOCK.pin("docker.io/other/image:1") == "docker.io/other/image:1"
    digested = f"docker.io/a/b@{DIGEST}"
    assert Lock(images={digested: LOCK.images[IMAGE]}).pin(digested) == digested


def test_an_architecture_that_is_not_locked_is_told() -> None:
    assert not LOCK.lacks(IMAGE, "x86_64")
    assert LOCK.lacks(IMAGE, "aarch64")
    assert not LOCK.lacks(IMAGE, "riscv64")
    assert not LOCK.lacks("docker.io/other/image:1", "aarch64")
    assert (LOCK.pull_size(IMAGE, "x86_64"), LOCK.pull_size(IMAGE, "aarch64")) == (7, None)


def test_only_a_repository_has_a_revision() -> None:
    assert LOCK.revision(parse_source("hf://org/tiny")) == ""
    assert LOCK.revision(parse_source("/srv/a.gguf")) == ""


@given(lock=LOCKS)
def test_only_what_is_used_is_kept(lock: Lock) -> None:
    assert only(lock, images=lock.images, models=lock.models) == lock
    assert only(lock, images=(), models=()) == Lock()


@pytest.mark.parametrize(
    ("text", "host", "repository", "wanted"),
    [
        ("docker.io/debian", "registry-1.docker.io", "library/debian", "latest"),
        ("docker.io/ollama/ollama:0.17.1-rocm", "registry-1.docker.io", "ollama/ollama", "0.17.1-rocm"),
        ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c"),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest"),
        (f"ghcr.io/ggml-org/llama.cpp@{DIGEST}", "ghcr.io", "ggml-org/llama.cpp", DIGEST),
        (f"ghcr.io/ggml-org/llama.cpp:server@{DIGEST}", "ghcr.io", "ggml-org/llama.cpp", DIGEST),
    ],
)
def test_references_say_where_to_ask_for_what(text: str, host: str, repository: str, wanted: str) -> None:
    reference = parse_reference(text)
    assert (reference.host, reference.repository, reference.wanted) == (host, repository, wanted)


@pytest.mark.parametrize(
    "text", ["", "debian/", "docker.io/Debian", "docker.io/a:b/c", "a.b/c:", "a.b/c:-x", "a.b/c@sha256:1", "a.b/../c"]
)
def test_other_references_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_reference(text)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("llama3", "registry.ollama.ai/library/llama3:latest"),
        ("llama3:8b", "registry.ollama.ai/library/llama3:8b"),
        ("me/Mine:Q4_K_M", "registry.ollama.ai/me/Mine:Q4_K_M"),
        ("hf.co/org/Tiny-GGUF:Q4_K_M", "hf.co/org/Tiny-GGUF:Q4_K_M"),
    ],
)
def test_names_of_ollama_are_those_of_a_registry(name: str, url: str) -> None:
    reference = parse_ollama(name)
    assert f"{reference.host}/{reference.repository}:{reference.tag}" == url


@pytest.mark.parametrize("name", ["", "a/b/c/d", "../x", "a b", "a:b:c", "a/../b"])
def test_other_names_of_ollama_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_ollama(name)
