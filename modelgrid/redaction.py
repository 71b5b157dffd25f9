"""Finds literal secrets in text, and hides them: what is printed must not carry them further."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Secret:
    """A literal secret in a text: ``text[start:end]`` is what must not be shown, *kind* says what it is."""

    start: int
    end: int
    kind: str


#: (text that every match holds, what it is, pattern). The first part is looked for first: a text without
#: it, which is nearly every text, costs no pattern. A group, where there is one, is the part to hide.
#: The forms are those that the issuers document for their secret scanning.
_FORMS = (
    ("hf_", "a Hugging Face token", r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}"),
    ("sk-mg-", "an API key of a gateway", r"(?<![A-Za-z0-9_-])sk-mg-[A-Za-z0-9_-]{16,}"),
    ("sk-", "an API key", r"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}"),
    ("gsk_", "an API key", r"(?<![A-Za-z0-9])gsk_[A-Za-z0-9]{20,}"),
    ("nvapi-", "an NVIDIA API key", r"(?<![A-Za-z0-9])nvapi-[A-Za-z0-9_-]{20,}"),
    ("gh", "a GitHub token", r"(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}"),
    ("glpat-", "a GitLab token", r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{16,}"),
    ("AKIA", "an AWS access key", r"(?<![A-Za-z0-9])AKIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("ASIA", "an AWS access key", r"(?<![A-Za-z0-9])ASIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("xox", "a Slack token", r"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("AIza", "a Google API key", r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{30,}"),
    ("eyJ", "a JSON web token", r"(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("earer ", "a bearer token", r"(?<![A-Za-z0-9])[Bb]earer +((?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{16,})"),
    (
        "PRIVATE KEY-----",
        "a private key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*-----|\Z)",
    ),
    ("://", "a password in a URL", r"://[^\s/:@'\"]{0,200}:([^\s/@'\"]{1,200})@"),
)

_HIDABLE = re.compile(r"[^\r\n]")

#: Last words of names, of variables and options, whose values are secrets.
_SECRET_WORDS = frozenset({"TOKEN", "KEY", "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "CREDENTIAL", "CREDENTIALS"})


def find_secrets(text: str) -> tuple[Secret, ...]:
    """Return the literal secrets in *text*, by their form, in its order and without overlaps.

    A secret that looks like any other word (a password) has no form: see :func:`is_secret_name`.
    """
    found: list[Secret] = []
    for mark, kind, pattern in _FORMS:
        if mark in text:
            for match in re.finditer(pattern, text):
                start, end = match.span(match.lastindex or 0)
                found.append(Secret(start, end, kind))
    found.sort(key=lambda secret: (secret.start, -secret.end))
    apart: list[Secret] = []
    for secret in found:
        if not apart or secret.start >= apart[-1].end:
            apart.append(secret)
    return tuple(apart)


def is_secret_name(name: str) -> bool:
    """Say whether a variable of this *name* holds a secret: ``HF_TOKEN``, ``OPENAI_API_KEY``, ``PGPASSWORD``.

    One that names a file (``HF_TOKEN_PATH``, ``TLS_KEY_FILE``) does not.
    """
    upper = name.upper().replace("-", "_")
    return upper.rpartition("_")[2] in _SECRET_WORDS or upper.endswith(("PASSWORD", "APIKEY"))


def mask(text: str) -> str:
    """Return *text* with ``*`` in place of every character of a literal secret, line ends excepted."""
    for mark, _, pattern in _FORMS:
        if mark in text:
            text = re.sub(pattern, _stars, text)
    return text


def _stars(match: re.Match[str]) -> str:
    found = match[0]
    start, end = (place - match.start() for place in match.span(match.lastindex or 0))
    return f"{found[:start]}{_HIDABLE.sub('*', found[start:end])}{found[end:]}"


def mask_line(line: str) -> str:
    """Mask one line as :func:`mask` does, and also what is given to a name such as ``HF_TOKEN``."""
    line = mask(line)
    upper = line.upper()
    if not any(word in upper for word in ("TOKEN", "KEY", "PASS", "SECRET", "CREDENTIAL")):
        return line
    parts: list[str] = []
    done = 0
    flow = "{" in line or "[" in line
    # no name starts inside of a name: a long word is read once, not once for each of its characters
    for name in re.finditer(r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_.-]+(?=[\"']?[ \t]*[:=])", line):
        if name.start() < done or not is_secret_name(name[0]):
            continue
        pattern = r"[\"']?[ \t]*[:=][ \t]*(\"[^\"]*|'[^']*|" + (r"[^,}\]]*" if flow else r".*") + ")"
        value = re.compile(pattern).match(line, name.end())
        if value is not None:
            parts += (line[done : value.start(1)], "*" * len(value[1].rstrip()))
            done = value.start(1) + len(value[1].rstrip())
    parts.append(line[done:])
    return "".join(parts)
