"""Refuses secrets that are written out: by their form anywhere in the text, by the name that they are given to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from modelgrid.diagnostics import Diagnostic
from modelgrid.redaction import find_secrets, is_secret_name, mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelgrid.config.load import Document
    from modelgrid.diagnostics import Path

CODE: Final = "MG3010"

#: Values that only switch something, whatever the name: HF_HUB_DISABLE_IMPLICIT_TOKEN=1.
_SWITCHES: Final = frozenset({"0", "1", "true", "false", "yes", "no", "on", "off"})

#: Options of engines that take a secret. Many others end in -key or -token and do not: --pad-token.
_SECRET_OPTIONS: Final = ("api-key", "hf-token", "auth-token", "password")

_HINT: Final = (
    "revoke it where it was issued and leave it out: ModelGrid hands no secrets to servers yet; weights behind a token"
    " can be downloaded by hand and given by their path"
)
_HINT_GATEWAY: Final = "revoke it; put the SHA-256 of a new one here: `modelgrid key new` prints both"


def check_literals(document: Document) -> Iterator[Diagnostic]:
    """Report every literal secret of *document*, comments and ``x-`` keys included, and never show it."""
    for secret in find_secrets(document.text):
        yield Diagnostic(
            code=CODE,
            message=f"{secret.kind} is written out here",
            location=document.between(secret.start, secret.end),
            hint=_HINT_GATEWAY if "gateway" in secret.kind else _HINT,
        )
    for path, value, name in _named(document.data):
        if value.startswith("/") or value.lower() in _SWITCHES or find_secrets(value):
            continue
        yield Diagnostic(
            code=CODE,
            message=f"the value of {mask(name)} is written out here",
            path=path,
            location=document.value(path),
            hint=_HINT,
        )


def hide(diagnostics: Iterable[Diagnostic], literals: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """Mask what *literals* are about in the excerpts of all *diagnostics*: one line can have several."""
    excerpts: dict[tuple[str, int], str] = {}
    for literal in literals:
        place = literal.location
        if place is not None:
            line = excerpts.get((place.file, place.line), place.excerpt)
            start, end = place.column - 1, place.column - 1 + place.length
            excerpts[place.file, place.line] = f"{line[:start]}{'*' * len(line[start:end])}{line[end:]}"
    for item in diagnostics:
        excerpt = excerpts.get((item.location.file, item.location.line)) if item.location is not None else None
        if item.location is not None and excerpt is not None:
            yield replace(item, location=replace(item.location, excerpt=excerpt))
        else:
            yield item


def _named(data: dict[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield each text that a variable or option takes for a secret: its path, the text, the name."""
    for section in ("engines", "models"):
        entries = data.get(section)
        for entry_name, entry in entries.items() if isinstance(entries, dict) else ():
            if not isinstance(entry, dict):
                continue
            environment, at = entry.get("env"), (section, entry_name)
            for name, value in environment.items() if isinstance(environment, dict) else ():
                if is_secret_name(name) and isinstance(value, str | int | float) and not isinstance(value, bool):
                    yield (*at, "env", name), str(value), name
            for field in ("args", "command"):
                yield from _options(entry.get(field), (*at, field))


def _options(words: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    if isinstance(words, dict):
        for name, value in words.items():
            if _takes_secret(name) and isinstance(value, str):
                yield (*path, name), value, name
    elif isinstance(words, list):
        for index, word in enumerate(words):
            before = words[index - 1] if index else None
            if not isinstance(word, str):
                continue
            name, equals, value = word.partition("=")
            if equals and name.startswith("-") and _takes_secret(name):
                yield (*path, index), value, name
            elif isinstance(before, str) and before.startswith("-") and _takes_secret(before):
                yield (*path, index), word, before


def _takes_secret(option: str) -> bool:
    return option.replace("_", "-").lower().endswith(_SECRET_OPTIONS)
