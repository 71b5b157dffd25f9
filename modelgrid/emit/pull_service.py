"""The plain service that pulls an image, for a podman that knows no ``.image`` files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelgrid.emit import podman_keys
from modelgrid.emit.keys import refusal
from modelgrid.emit.podman_keys import PODMAN, Reader
from modelgrid.emit.podman_options import option_words
from modelgrid.emit.quoting import quoted_word
from modelgrid.emit.unitedit import EditableUnit, Entry, Section
from modelgrid.emit.words import split_words

if TYPE_CHECKING:
    from modelgrid.emit.artifact import Artifact
    from modelgrid.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class OldTarget:
    """A podman that units are written anew for, and the one that is."""

    artifact: Artifact
    podman: tuple[int, int]
    user: bool

    def refuse(self, section: str, key: str, since: tuple[int, ...], *, value: str = "") -> ConfigError:
        """Return the refusal of *key*, which came *since*."""
        found = ".".join(map(str, self.podman))
        first = f"podman {'.'.join(map(str, since))}"
        return refusal(self.artifact, (section, key), f"{key}={value}", since=first, found=found)


def pull_service(unit: EditableUnit, target: OldTarget) -> EditableUnit:
    """Return the service that quadlet would make of the ``.image`` *unit*."""
    image = unit.value("Image", "Image") or ""
    options: list[str] = []
    origins: tuple[str, ...] = ()
    for entry in unit.section("Image"):
        origins += entry.origins
        key = PODMAN["Image"].get(entry.key)
        if entry.key == "PodmanArgs":
            options += split_words(entry.value, escapes=True)
        elif entry.key != "Image" and (key is None or not key.option or key.reader is Reader.ALL):
            raise target.refuse("Image", entry.key, podman_keys.KINDS[".image"])
        elif key is not None and key.option:
            if target.podman < key.option_since:
                raise target.refuse("Image", entry.key, key.option_since)
            options += option_words(key, entry.value)
    words = ["image", "pull", *options, image]
    line = " ".join(["/usr/bin/podman", *(quoted_word(word, {}) for word in words)])
    service = [
        Entry("Type", "oneshot"),
        Entry("RemainAfterExit", "yes"),
        Entry("SyslogIdentifier", "%N"),
        Entry("ExecStart", line, origins=origins),
    ]
    size = unit.value("X-ModelGrid", "Size")
    unit = unit.with_section("Image", ()).with_section("X-ModelGrid", ())
    unit = unit.adding("Unit", [Entry("RequiresMountsFor", "%t/containers")]).adding("Service", service)
    told = [Entry("Image", image), *([Entry("Size", size)] if size else [])]
    return replace(unit, sections=(*unit.sections, Section("X-ModelGrid", tuple(told), lead=("",))))
