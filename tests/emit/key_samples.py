"""A quadlet for each key of the table of podman's keys, to ask a generator whether it takes the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.podman_keys import PODMAN, Reader

if TYPE_CHECKING:
    from pathlib import Path

#: What each kind of file needs besides the key.
_BASES = {
    "Container": ("container", ["Image=localhost/image:1"]),
    "Image": ("image", ["Image=localhost/image:1"]),
    "Network": ("network", []),
    "Volume": ("volume", []),
    "Quadlet": ("container", []),
}

#: By key, the lines that a generator wants to see with it.
_NEEDS = {
    ("Container", "Group"): ["User=3"],
    ("Container", "RemapUid"): ["RemapUsers=manual"],
    ("Container", "RemapGid"): ["RemapUsers=manual"],
    ("Container", "RemapUidSize"): ["RemapUsers=auto"],
    ("Network", "Gateway"): ["Subnet=10.9.0.0/24"],
    ("Network", "IPRange"): ["Subnet=10.9.0.0/24"],
    ("Volume", "Type"): ["Device=tmpfs"],
    ("Volume", "Options"): ["Device=tmpfs"],
    ("Volume", "Image"): ["Driver=image"],
}

_VALUES = {
    ("Container", "ExposeHostPort"): "8080",
    ("Container", "Image"): "localhost/image:2",
    ("Container", "Mount"): "type=tmpfs,destination=/x",
    ("Container", "Pod"): "other.pod",
    ("Container", "PublishPort"): "8080:8080",
    ("Container", "RemapUsers"): "manual",
    ("Container", "RemapUid"): "1000",
    ("Container", "RemapGid"): "1000",
    ("Container", "RemapUidSize"): "4096",
    ("Container", "User"): "7",
    ("Container", "Group"): "7",
    ("Container", "Volume"): "/srv:/srv",
}

_BY_READER = {
    Reader.BOOLEAN: "true",
    Reader.FLAG: "true",
    Reader.NUMBER: "7",
    Reader.KEYVAL: "name=value",
}


def key_value(section: str, key: str) -> str:
    """A value that every generator takes."""
    return _VALUES.get((section, key), _BY_READER.get(PODMAN[section][key].reader, "value"))


def write_key_samples(folder: Path) -> dict[tuple[str, str], str]:
    """Write a quadlet for each key to *folder*; return the unit that a generator makes of each."""
    (folder / "other.pod").write_text("[Pod]\n", encoding="utf-8")
    units = {}
    for section, keys in PODMAN.items():
        suffix, base = _BASES[section]
        for key in keys:
            name = f"{section}-{key}".lower()
            lines = [line for line in base if not (key == "Rootfs" and line.startswith("Image="))]
            lines = [*lines, *_NEEDS.get((section, key), [])]
            if section == "Quadlet":
                text = f"[Container]\nImage=localhost/image:1\n[Quadlet]\n{key}={key_value(section, key)}\n"
            else:
                text = "\n".join([f"[{section}]", *lines, f"{key}={key_value(section, key)}", ""])
            (folder / f"{name}.{suffix}").write_text(text, encoding="utf-8")
            ending = "" if suffix == "container" else f"-{suffix}"
            units[section, key] = "value.service" if key == "ServiceName" else f"{name}{ending}.service"
    return units
