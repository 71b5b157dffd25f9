"""Writes a unit for an older podman or systemd, with the same meaning; :mod:`modelgrid.emit.keys` refuses the rest.

A key that the target's quadlet does not have yet becomes the option that it stands for, in ``PodmanArgs=``: those
come behind all options of quadlet's own, and of an option with one value podman takes the last (spf13/pflag), so
they decide. Keys that are no option have a rule here. What has no equal is left, and named by the check.

Two things are dropped, as nothing rests on them: that a unit need not wait for the network to be online, which no
podman before 5.3 can be told, and that systemd's pauses between restarts grow, which none before 254 has.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.emit import podman_keys
from modelgrid.emit.artifact import UNITS, Artifact
from modelgrid.emit.keys import podman_since
from modelgrid.emit.names import unit_name
from modelgrid.emit.podman_keys import PODMAN
from modelgrid.emit.podman_options import TRUE, option_words
from modelgrid.emit.pull_service import OldTarget, pull_service
from modelgrid.emit.quoting import quoted_word
from modelgrid.emit.unitedit import Entry, read_unit, rehash, write_unit
from modelgrid.emit.words import split_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.emit.quoting import UnitText
    from modelgrid.emit.unitedit import EditableUnit

#: podman-run(1), --sdnotify=healthy: libpod/define/sdnotify.go has it from 4.7 on, quadlet from 5.0.
_SDNOTIFY_HEALTHY = (4, 7)
#: From it on quadlet makes units wait for the network to be online (containers and images).
_WAITS_FOR_NETWORK = (5, 2)
#: Before it ``User=`` and ``Group=`` are read as numbers, and a name as 0: root.
_NAMED_USERS = (4, 8)
#: Before it ``ReadOnly=true`` also takes away the file systems in memory on /tmp and /run.
_KEEPS_TMPFS = (4, 8)
#: Before it a dash in front of a device is part of its path.
_OPTIONAL_DEVICES = (4, 6)
#: Before it only the last ``Ulimit=`` counts.
_SEVERAL_LIMITS = (5, 0)

#: The first systemd whose pauses between restarts grow.
_BACK_OFF = 254
_BACK_OFF_KEYS = frozenset({"RestartSteps", "RestartMaxDelaySec"})

_ONLINE = "network-online.target"

#: From it on nothing is written in another way.
_NEW = max(key.since for name in ("Container", "Image", "Network", "Quadlet") for key in PODMAN[name].values())


def needs_host_gate(podman: tuple[int, ...]) -> bool:
    """Whether a podman of that version cannot hold a unit back until its server is healthy, so that a probe has to."""
    return bool(podman) and podman[:2] < _SDNOTIFY_HEALTHY


def downgrade(
    artifact: Artifact,
    *,
    podman: tuple[int, ...],
    systemd: int,
    user: bool = False,
    gate: UnitText | None = None,
    images: Mapping[str, str] | None = None,
) -> Artifact:
    """Return the unit *artifact* as the target reads it; the same one where nothing has to change.

    Args:
        artifact: a quadlet or plain unit of ours. An ``.image`` for a podman that has none becomes a plain service
            of the same unit name.
        podman: the target's version; ``()`` is not known and counts as new. One without quadlet is not for here.
        systemd: the same of systemd; 0 is not known.
        user: whether the unit is for a user's manager.
        gate: the command that ends when the server of the container answers, for a podman that cannot wait for it.
        images: the image that each ``.image`` stands for, by its file name.

    Raises:
        ConfigError: a key has no equal on the target, or needs *gate* or *images* and they lack it.
    """
    path = artifact.path
    suffix = PurePosixPath(path).suffix
    grows = not systemd or systemd >= _BACK_OFF
    is_new = suffix not in podman_keys.KINDS or not podman_keys.has_quadlet(podman) or not podman or podman[:2] >= _NEW
    if grows and is_new:
        return artifact
    unit = changed = read_unit(artifact)
    if not grows:
        kept = (entry for entry in changed.section("Service") if entry.key not in _BACK_OFF_KEYS)
        changed = changed.with_section("Service", kept)
    if not is_new:
        target = OldTarget(artifact=artifact, podman=(podman[0], podman[1]), user=user)
        if suffix == ".container":
            changed = _container(changed, target, gate, images or {})
        elif suffix == ".network":
            changed = _network(changed, target)
        changed = _dependencies(changed, target, suffix)
        if target.podman < podman_keys.KINDS[suffix]:
            path, changed = f"{UNITS}/{unit_name(path)}", pull_service(changed, target)
        else:
            changed = _options(changed, target)
    if changed == unit:
        return artifact
    return replace(artifact, path=path, content=write_unit(rehash(changed)))


def _options(unit: EditableUnit, target: OldTarget) -> EditableUnit:
    """Write each key that the target's quadlet lacks as the option that it stands for."""
    for section, keys in PODMAN.items():
        arguments = keys.get("PodmanArgs")
        entries = unit.section(section)
        if all(e.key not in keys or target.podman >= podman_since(section, e.key, e.value) for e in entries):
            continue
        last = {entry.key: index for index, entry in enumerate(entries)}
        written: list[Entry] = []
        for index, entry in enumerate(entries):
            key = keys.get(entry.key)
            if key is None or target.podman >= podman_since(section, entry.key, entry.value):
                written.append(entry)
            elif not key.option or not entry.value or arguments is None or target.podman < arguments.since:
                raise target.refuse(section, entry.key, key.since)
            elif target.podman < key.option_since:
                raise target.refuse(section, entry.key, key.option_since)
            elif key.reader.several or last[entry.key] == index:
                written += _arguments(entry, option_words(key, entry.value))
        unit = unit.with_section(section, written)
    return unit


def _arguments(entry: Entry, words: list[str]) -> list[Entry]:
    return [_argument(replace(entry, lead=() if number else entry.lead), word) for number, word in enumerate(words)]


def _argument(entry: Entry, word: str) -> Entry:
    return Entry("PodmanArgs", quoted_word(word, {}), entry.lead, entry.origins)


def _container(unit: EditableUnit, target: OldTarget, gate: UnitText | None, images: Mapping[str, str]) -> EditableUnit:
    unit = _notify(unit, target, gate)
    unit = _image(unit, target, images)
    unit = _user(unit, target)
    unit = _reload(unit, target)
    written: list[Entry] = []
    entries = unit.section("Container")
    limits = sum(entry.key == "Ulimit" for entry in entries)
    read_only = (unit.value("Container", "ReadOnly") or "").lower() in TRUE
    says_itself = unit.value("Container", "ReadOnlyTmpfs") is not None
    keeps_tmpfs = not read_only or says_itself or target.podman >= _KEEPS_TMPFS
    for entry in entries:
        if entry.key == "Ulimit" and limits > 1 and target.podman < _SEVERAL_LIMITS:
            written.append(_argument(entry, f"--ulimit={entry.value}"))
            continue
        if entry.key == "AddDevice" and target.podman < _OPTIONAL_DEVICES:
            if any(device.startswith("-") for device in split_words(entry.value, escapes=False)):
                raise target.refuse("Container", "AddDevice", _OPTIONAL_DEVICES, value="-")
        elif entry.key == "Mount" and target.podman < PODMAN["Container"]["Mount"].since:
            _refuse_relative_mount(entry, target)
        written.append(entry)
        if entry.key == "ReadOnly" and not keeps_tmpfs:
            written.append(_argument(replace(entry, lead=()), "--read-only-tmpfs=true"))
    return unit.with_section("Container", written)


def _refuse_relative_mount(entry: Entry, target: OldTarget) -> None:
    """Quadlet finds the volumes of other quadlets, and paths beside the quadlet; podman does not."""
    for word in split_words(entry.value, escapes=True):
        for field in word.split(","):
            name, _, value = field.partition("=")
            if name in {"source", "src"} and (value.startswith(".") or value.endswith((".volume", ".image", ".build"))):
                raise target.refuse("Container", "Mount", PODMAN["Container"]["Mount"].since)


def _notify(unit: EditableUnit, target: OldTarget, gate: UnitText | None) -> EditableUnit:
    """Keep the promise of ``Notify=healthy``: by podman's option where it has it, by a probe from the host else."""
    since = podman_since("Container", "Notify", "healthy")
    if unit.value("Container", "Notify") != "healthy" or target.podman >= since:
        return unit
    entries = unit.section("Container")
    if target.podman >= _SDNOTIFY_HEALTHY:
        return unit.with_section(
            "Container",
            (_argument(entry, "--sdnotify=healthy") if entry.key == "Notify" else entry for entry in entries),
        )
    if gate is None:
        raise target.refuse("Container", "Notify", _SDNOTIFY_HEALTHY, value="healthy")
    unit = unit.with_section("Container", (entry for entry in entries if entry.key != "Notify"))
    return unit.adding("Service", [Entry("ExecStartPost", gate, origins=gate.origins)], first=True)


def _image(unit: EditableUnit, target: OldTarget, images: Mapping[str, str]) -> EditableUnit:
    """Name the image itself, and the service that pulls it, where there are no ``.image`` files."""
    file = unit.value("Container", "Image") or ""
    since = podman_keys.KINDS[".image"]
    if not file.endswith(".image") or target.podman >= since:
        return unit
    if file not in images:
        raise target.refuse("Container", "Image", since, value=file)
    service = unit_name(f"quadlets/{file}") or ""
    entries = unit.section("Container")
    unit = unit.with_section(
        "Container", (replace(entry, value=images[file]) if entry.key == "Image" else entry for entry in entries)
    )
    return unit.adding("Unit", [Entry("Requires", service), Entry("After", service)])


def _user(unit: EditableUnit, target: OldTarget) -> EditableUnit:
    user, group = unit.value("Container", "User"), unit.value("Container", "Group")
    if target.podman >= _NAMED_USERS or not user:
        return unit
    word = f"--user={user}:{group}" if group else f"--user={user}"
    entries = unit.section("Container")
    origins = tuple(origin for entry in entries if entry.key in {"User", "Group"} for origin in entry.origins)
    kept = (entry for entry in entries if entry.key not in {"User", "Group"})
    return unit.with_section("Container", (*kept, _argument(Entry("User", user, origins=origins), word)))


def _reload(unit: EditableUnit, target: OldTarget) -> EditableUnit:
    """Write ``ReloadCmd=`` and ``ReloadSignal=`` as the ``ExecReload=`` that quadlet makes of them."""
    if target.podman >= PODMAN["Container"]["ReloadCmd"].since:
        return unit
    name = unit.value("Container", "ContainerName")
    command, signal = unit.value("Container", "ReloadCmd"), unit.value("Container", "ReloadSignal")
    if not name or (command is None and signal is None) or (command is not None and signal is not None):
        return unit
    words = ["kill", f"--signal={signal}", name] if command is None else ["exec", name]
    words += split_words(command or "", escapes=True)
    line = " ".join(["/usr/bin/podman", *(quoted_word(word, {}) for word in words)])
    entries = unit.section("Container")
    reloads = [entry for entry in entries if entry.key in {"ReloadCmd", "ReloadSignal"}]
    unit = unit.with_section("Container", (entry for entry in entries if entry not in reloads))
    return unit.adding("Service", [Entry("ExecReload", line, origins=reloads[-1].origins)])


def _network(unit: EditableUnit, target: OldTarget) -> EditableUnit:
    """Let podman name the network after its file: quadlets name that file, and so find it under either name."""
    if target.podman >= PODMAN["Network"]["NetworkName"].since:
        return unit
    return unit.with_section("Network", (entry for entry in unit.section("Network") if entry.key != "NetworkName"))


def _dependencies(unit: EditableUnit, target: OldTarget, suffix: str) -> EditableUnit:
    waits = (unit.value("Quadlet", "DefaultDependencies") or "true").lower() in TRUE
    if target.podman < PODMAN["Quadlet"]["DefaultDependencies"].since:
        kept = (entry for entry in unit.section("Quadlet") if entry.key != "DefaultDependencies")
        unit = unit.with_section("Quadlet", kept)
    # a user's manager has no such target; nothing that it could wait for came before podman 5.3
    if waits and suffix != ".network" and target.podman < _WAITS_FOR_NETWORK and not target.user:
        unit = unit.adding("Unit", [Entry("Wants", _ONLINE), Entry("After", _ONLINE)])
    return unit
