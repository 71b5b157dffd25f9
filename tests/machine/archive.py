"""Where the host gets its Debian packages from: its own apt sources say it."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One line or stanza of apt's sources for binary packages."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str | None = None


def parse_deb822(text: str) -> Iterator[Source]:
    """The sources of a ``.sources`` file (sources.list(5), "DEB822-STYLE FORMAT")."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {
            match["key"].lower(): match["value"].split()
            for match in re.finditer(r"^(?P<key>[\w-]+):(?P<value>.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        }
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        keys = fields.get("signed-by", [])
        yield Source(
            uris=tuple(fields.get("uris", [])),
            suites=tuple(fields.get("suites", [])),
            components=tuple(fields.get("components", [])),
            signed_by=keys[0] if len(keys) == 1 and keys[0].startswith("/") else None,
        )


def parse_list(text: str) -> Iterator[Source]:
    """The sources of a ``.list`` file (sources.list(5), "ONE-LINE-STYLE FORMAT")."""
    pattern = re.compile(r"^\s*deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>[^#\n]*)")
    for line in text.splitlines():
        match = pattern.match(line)
        if match:
            signed_by = re.search(r"signed-by=(\S+)", match["options"] or "")
            yield Source(
                uris=(match["uri"],),
                suites=(match["suite"],),
                components=tuple(match["rest"].split()),
                signed_by=signed_by[1] if signed_by else None,
            )


def host_sources(root: Path = Path("/")) -> Iterator[Source]:
    """Every source that apt of the host at *root* has."""
    apt = root / "etc" / "apt"
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            yield from parse_list(path.read_text(encoding="utf-8"))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        yield from parse_deb822(path.read_text(encoding="utf-8"))


def apt_line(suite: str, root: Path = Path("/")) -> str | None:
    """The line for ``sources.list`` that gives *suite* of Debian, from the mirror of the host at *root*.

    ``$MODELGRID_TEST_MIRROR`` (the address of a Debian mirror) goes first. None where neither says one: the host is
    not a Debian, or has no source for its own suite.
    """
    mirror = os.environ.get("MODELGRID_TEST_MIRROR")
    if mirror:
        return f"deb [signed-by={KEYRING}] {mirror} {suite} main"
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        return None
    names = {release.get("VERSION_CODENAME", ""), "stable", "testing", "unstable", "sid"}
    for source in host_sources(root):
        if names & set(source.suites) and "main" in source.components and source.uris:
            return f"deb [signed-by={source.signed_by or KEYRING}] {source.uris[0]} {suite} main"
    return None
