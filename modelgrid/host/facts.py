"""What a target host is: plain values that ``compile`` reads, written by ``modelgrid facts`` on that host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

FACTS_VERSION = 1


class Vendor(Enum):
    """Who made the accelerator; CPU where there is none. Engines have an image for each."""

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    CPU = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU.

    *memory* is in bytes; *uuid* is the name that survives a reboot, the index may not; *node* is its device node,
    ``/dev/dri/renderD128``, where it has one of its own that is enough to use it.
    """

    index: int
    uuid: str
    name: str
    memory: int
    vendor: Vendor = Vendor.NVIDIA
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Everything that compiling needs to know of the target.

    Attributes:
        system: ``linux``, ``darwin`` or ``windows`` (as ``platform.system()``, lower case).
        distribution: ``ID`` of os-release(5), for example ``debian``; empty where there is none.
        distribution_version: ``VERSION_ID`` of os-release(5).
        arch: as ``uname -m``: ``x86_64``, ``aarch64``.
        podman: version of podman, ``(5, 4, 2)``; none where it is not installed.
        systemd: version of systemd, ``257``; none where the host was not booted with it.
        home: home folder of the user who asked, for their own units; empty where it is not known.
        python: the interpreter that runs ModelGrid on that host, an absolute path.
        programs: programs of engines, podman and docker found on the host's PATH: (name, absolute path), sorted.
        embedded_llama: whether that interpreter can import ``xllamacpp``, the embedded llama.cpp.
        gpus: by index.
    """

    system: str
    distribution: str = ""
    distribution_version: str = ""
    arch: str
    podman: tuple[int, ...] | None = None
    systemd: int | None = None
    home: str = ""
    python: str
    programs: tuple[tuple[str, str], ...] = ()
    embedded_llama: bool = False
    gpus: tuple[Gpu, ...] = ()

    def program(self, name: str) -> str | None:
        """Return the absolute path of program *name* on the host, or none where it lacks it."""
        return dict(self.programs).get(name)


def version_numbers(text: str) -> tuple[int, ...] | None:
    """Return the first dotted number of *text*, ``podman version 5.4.2`` as ``(5, 4, 2)``; none without one."""
    match = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else None
