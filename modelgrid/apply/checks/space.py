"""Whether images that are pulled have room where their program keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.checks.hostchecks import has_image
from modelgrid.apply.checks.problems import Findings, Problem
from modelgrid.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.plan import Pull

#: How a program tells where it keeps images.
_STORES = {
    "podman": ("podman", "info", "--format", "{{.Store.GraphRoot}}"),
    "docker": ("docker", "info", "--format", "{{.DockerRootDir}}"),
}


def seen(host: Host, pulls: Iterable[Pull]) -> tuple[Pull, ...]:
    """Return *pulls*, each saying whether the host has the image."""
    return tuple(replace(pull, present=has_image(host, pull.program, pull.image)) for pull in pulls)


def space_findings(host: Host, pulls: Iterable[Pull]) -> Findings:
    """Find the images of *pulls* that the disk has no room for.

    A size is that of the compressed layers, and so the least that they take. Of an image of which the host has another
    version some layers may be there already: then it is a note. One of unknown size counts for nothing.
    """
    findings = Findings()
    missing = [pull for pull in pulls if pull.present is False and pull.size]
    for program in sorted({pull.program for pull in missing}):
        findings += _store_findings(host, program, [pull for pull in missing if pull.program == program])
    return findings


def _store_findings(host: Host, program: str, pulls: Sequence[Pull]) -> Findings:
    done = host.processes.run(*_STORES[program])
    store = Path(done.stdout.strip())
    if done.returncode != 0 or not store.is_absolute():
        return Findings()
    place = store
    while host.files.identity(place) is None and place != place.parent:
        place = place.parent
    try:
        free = host.files.free(place)
    except OSError:
        return Findings()
    needed = sum(pull.size or 0 for pull in pulls)
    if needed <= free:
        return Findings()
    listed = ", ".join(f"{pull.image.partition('@')[0]} ({format_size(pull.size or 0)})" for pull in pulls)
    message = f"{store} has {format_size(free)} free, and {format_size(needed)} are to be pulled: {listed}"
    if set(map(_repository, (pull.image for pull in pulls))) & _repositories(host, program):
        return Findings(notes=(f"{message}; what is there of other versions may make it less",))
    return Findings(problems=(Problem(message=message, hint=f"make room: `{program} system df` shows what takes it"),))


def _repositories(host: Host, program: str) -> set[str]:
    done = host.processes.run(program, "images", "--format", "{{.Repository}}")
    # docker leaves out its own registry
    return {name if "." in name.partition("/")[0] else f"docker.io/{name}" for name in done.stdout.split()}


def _repository(image: str) -> str:
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"
