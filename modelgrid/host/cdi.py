"""Which devices the host's Container Device Interface specifications name.

Specifications lie in /etc/cdi and /var/run/cdi as JSON or YAML (CDI specification, "CDI JSON Specification");
a device's full name is ``kind=name``. Run as a module it waits for names, which is what the unit
``modelgrid-gpu-ready.service`` does at boot: nvidia-cdi-refresh writes /var/run/cdi after each start.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))


def device_names(folders: Iterable[Path] = FOLDERS) -> frozenset[str]:
    """Return the full names of all devices; files that cannot be read or understood name none."""
    return frozenset(name for folder in folders for file in _files(folder) for name in _names(file))


def wait_for(names: Sequence[str], *, timeout: float, folders: Iterable[Path] = FOLDERS) -> tuple[str, ...]:
    """Wait until all *names* are there, at most *timeout* seconds; return those that are still missing."""
    folders = tuple(folders)
    deadline = time.monotonic() + timeout
    while True:
        known = device_names(folders)
        missing = tuple(name for name in names if name not in known)
        if not missing or time.monotonic() >= deadline:
            return missing
        time.sleep(0.5)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in {".json", ".yaml", ".yml"})
    except OSError:
        return []


def _names(file: Path) -> list[str]:
    import yaml  # noqa: PLC0415  JSON is YAML; hosts without CDI never get here

    try:
        data: Any = yaml.load(file.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  safe
        return [f"{data['kind']}={device['name']}" for device in data["devices"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait for the CDI devices named on the command line; exit 0 when all are there, else 1 with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m modelgrid.host.cdi", description=main.__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="full name of a device: nvidia.com/gpu=0")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds to wait at most (120)")
    options = parser.parse_args(arguments)
    missing = wait_for(options.names, timeout=options.timeout)
    if missing:
        sys.stderr.write(
            f"no CDI specification names {', '.join(missing)} after {options.timeout:g} s; "
            "see `nvidia-ctk cdi list`, or write one with `nvidia-ctk cdi generate`\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
