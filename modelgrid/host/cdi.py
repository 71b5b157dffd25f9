"""Which devices the host's Container Device Interface specifications name, and whether they can be used.

Specifications lie in /etc/cdi and /var/run/cdi as JSON or YAML (CDI specification, "CDI JSON Specification");
a device's full name is ``kind=name``. Run as a module it waits for devices, which is what the unit of a model in a
container does before podman starts it: at boot drivers load late, and nvidia-cdi-refresh writes /var/run/cdi anew
after each of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))

#: Seconds between two looks.
_PAUSE = 0.5

#: Seconds after which it is said that something is waited for; most boots are done before.
_PATIENCE = 5.0

#: What writes the specification of a kind (NVIDIA Container Toolkit and AMD Container Toolkit, "CDI").
_WRITERS = {
    "nvidia.com/gpu": "see that the driver is loaded (nvidia-smi), then run: systemctl restart nvidia-cdi-refresh, "
    "or: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    "amd.com/gpu": "see that the driver is loaded (rocm-smi), then run: "
    "amd-ctk cdi generate --output=/etc/cdi/amd.json",
}
_OTHER_WRITER = "write it with the tool of the device's vendor"
_LOAD = "see that its driver is loaded"


def device_names(folders: Iterable[Path] = FOLDERS) -> frozenset[str]:
    """Return the full names of all devices; files that cannot be read or understood name none."""
    return frozenset(_specified(folders))


def missing(devices: Iterable[str], folders: Iterable[Path] = FOLDERS) -> tuple[str, ...]:
    """Return why each of *devices*, CDI names and device nodes, cannot be used yet: a clause for each that cannot.

    A specification may be older than the driver, or be there before its device nodes; podman then fails as it does
    without one.
    """
    known = _specified(folders)
    return tuple(clause for device in devices if (clause := _fault(device, known)))


def wait_for(
    devices: Sequence[str],
    *,
    timeout: float,
    folders: Iterable[Path] = FOLDERS,
    on_wait: Callable[[tuple[str, ...]], None] = lambda _: None,
) -> tuple[str, ...]:
    """Wait until all *devices* can be used, at most *timeout* seconds; return what is :func:`missing` still.

    *on_wait* hears once of what is missing where that takes more than a few seconds.
    """
    folders = tuple(folders)
    begun = time.monotonic()
    told = False
    while True:
        lacking = missing(devices, folders)
        waited = time.monotonic() - begun
        if not lacking or waited >= timeout:
            return lacking
        if not told and waited >= _PATIENCE:
            on_wait(lacking)
            told = True
        time.sleep(min(_PAUSE, timeout - waited))


def _fault(device: str, known: Mapping[str, frozenset[str]]) -> str:
    if device.startswith("/"):
        return "" if Path(device).exists() else f"there is no {device}"
    if device not in known:
        return f"no CDI specification names {device}"
    gone = sorted(path for path in known[device] if not Path(path).exists())
    return f"the CDI specification of {device} is out of date: there is no {gone[0]}" if gone else ""


def _specified(folders: Iterable[Path]) -> Mapping[str, frozenset[str]]:
    """Return the paths of the host that each device needs, by its full name. Of two specifications the later counts."""
    found: dict[str, frozenset[str]] = {}
    for folder in folders:
        for file in _files(folder):
            found |= _devices(file)
    return found


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in {".json", ".yaml", ".yml"})
    except OSError:
        return []


def _devices(file: Path) -> Mapping[str, frozenset[str]]:
    import yaml  # noqa: PLC0415  JSON is YAML; hosts without CDI never get here

    try:
        data: Any = yaml.load(file.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  safe
        shared = _paths(data.get("containerEdits"))
        return {
            f"{data['kind']}={device['name']}": shared | _paths(device.get("containerEdits"))
            for device in data["devices"]
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}


def _paths(edits: Any) -> frozenset[str]:
    """Return the paths of the host that *edits* (CDI specification, "containerEdits") show in the container."""
    edits = edits or {}
    nodes = [node for node in edits.get("deviceNodes") or () if not _is_made(node)]
    paths = [node.get("hostPath") or node["path"] for node in nodes]
    paths += [mount["hostPath"] for mount in edits.get("mounts") or ()]
    return frozenset(path for path in paths if path.startswith("/"))


def _is_made(node: Mapping[str, Any]) -> bool:
    """Whether *node* is made in the container by its numbers, whatever the host has.

    container-device-interface, pkg/cdi/container-edits_unix.go, fillInfo.
    """
    return bool(node.get("type")) and (bool(node.get("major")) or node["type"] == "p")


def _advice(devices: Iterable[str], lacking: Sequence[str]) -> str:
    """Return what to do about what is *lacking* of *devices*."""
    concerned = [device for device in devices if any(device in clause for clause in lacking)]
    kinds = dict.fromkeys("" if device.startswith("/") else device.partition("=")[0] for device in concerned)
    return "; ".join(dict.fromkeys(_WRITERS.get(kind, _OTHER_WRITER) if kind else _LOAD for kind in kinds))


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait for the devices named on the command line; exit 0 when all are there, else 1 with a line that says why."""
    parser = argparse.ArgumentParser(prog="python -m modelgrid.host.cdi", description=main.__doc__)
    parser.add_argument(
        "devices", nargs="+", metavar="DEVICE", help="a name of CDI, nvidia.com/gpu=0, or a node, /dev/kfd"
    )
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds to wait at most (120)")
    options = parser.parse_args(arguments)
    limit = f"{options.timeout:g} s"

    def tell(lacking: tuple[str, ...]) -> None:
        _say(f"waiting at most {limit} for a GPU: {'; '.join(lacking)}")

    lacking = wait_for(options.devices, timeout=options.timeout, folders=FOLDERS, on_wait=tell)
    if lacking:
        _say(f"no GPU after {limit}: {'; '.join(lacking)}; {_advice(options.devices, lacking)}")
        return 1
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
