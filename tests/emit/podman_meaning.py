"""What the arguments of `podman run` mean, whatever their order and spelling; and what quadlet makes of a container.

The second is a small model of podman's generators from 4.4 to 5.8, for versions that are not at hand; those that are
at hand are asked themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from modelgrid.emit.podman_keys import PODMAN
from modelgrid.emit.unitfile import HASH_LABEL, parse_unit
from tests.emit import reader

FLAGS = {"--replace", "--rm", "-d", "--read-only", "--read-only-tmpfs", "--init", "--env-host", "--http-proxy"}
SHORT = {"-v": "--volume", "-w": "--workdir"}
#: Of the others podman takes the last.
LISTS = {
    *["--add-host", "--annotation", "--cap-add", "--cap-drop", "--device", "--dns", "--dns-option", "--dns-search"],
    *["--env", "--env-file", "--expose", "--gidmap", "--group-add", "--label", "--log-opt", "--mount", "--network"],
    *["--network-alias", "--publish", "--secret", "--security-opt", "--sysctl", "--tmpfs", "--uidmap", "--ulimit"],
    "--volume",
}
#: What older generators say besides, which means nothing for the container.
IGNORED = {"--cidfile"}


@dataclass(frozen=True)
class Run:
    """`podman run`: the values of each option but the hash of its unit, the image, the command in the container."""

    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    image: str = ""
    command: tuple[str, ...] = ()


def read_run(argv: list[str]) -> Run:
    """What *argv* asks for; `/usr/bin/podman run` is its beginning."""
    found: dict[str, list[str]] = {}
    rest = iter(argv[argv.index("run") + 1 :])
    image = ""
    for word in rest:
        if not word.startswith("-"):
            image = word
            break
        name, equals, value = word.partition("=")
        if not equals:
            value = "true" if name in FLAGS else next(rest)
        if name == "--security-opt" and value.startswith("label:"):
            value = value.replace(":", "=", 1)
        if not value.startswith(f"{HASH_LABEL}="):
            found.setdefault(SHORT.get(name, name), []).append(value)
    options = {
        name: tuple(sorted(values)) if name in LISTS else tuple(values[-1:])
        for name, values in found.items()
        if name not in IGNORED
    }
    return Run(options=options, image=image, command=tuple(rest))


def model_of_generator(text: str, podman: tuple[int, int]) -> Run:
    """What quadlet of *podman* makes of the `.container` *text*."""
    unit = parse_unit(text)
    argv = ["/usr/bin/podman", "run", "--replace", "--rm", "-d", "--cgroups=split"]
    notify = unit.get(("Container", "Notify"), ("false",))[-1]
    argv.append(f"--sdnotify={'healthy' if notify == 'healthy' and podman >= (5, 0) else 'conmon'}")
    read_only = unit.get(("Container", "ReadOnly"), ("false",))[-1] == "true"
    if read_only and podman < (4, 8) and ("Container", "ReadOnlyTmpfs") not in unit:
        argv.append("--read-only-tmpfs=false")
    users = [unit[key][-1] for key in (("Container", "User"), ("Container", "Group")) if key in unit]
    if users:
        argv.append(f"--user={':'.join(name if podman >= (4, 8) or name.isdigit() else '0' for name in users)}")
    for (section, key), values in unit.items():
        if section != "Container" or key in {"User", "Group", "PodmanArgs", "Image", "Exec"}:
            continue
        entry = PODMAN[section][key]
        assert podman >= entry.since, f"podman {podman} has no {key}="
        argv += arguments(key, values[-1:] if key == "Ulimit" and podman < (5, 0) else values)
    for value in unit.get(("Container", "PodmanArgs"), ()):
        argv += [reader.expand(word) for word in reader.lookup_args(value)]
    command = [reader.expand(word) for word in reader.lookup_args(unit.get(("Container", "Exec"), ("",))[-1])]
    return read_run([*argv, unit["Container", "Image"][-1], *command])


def arguments(key: str, values: tuple[str, ...]) -> list[str]:
    entry = PODMAN["Container"][key]
    match entry.reader.name:
        case "BOOLEAN":
            return [f"{entry.option}={values[-1]}"]
        case "FLAG":
            return [f"{entry.option}={entry.prefix}"] if values[-1] == "true" else []
        case "LOOKUP":
            words = [values[-1]]
        case "ALL":
            words = list(values)
        case "STRV":
            words = [word for value in values for word in reader.lookup_strv(value)]
        case _:
            words = [word for value in values for word in reader.lookup_args(value)]
    return [f"{entry.option}={entry.prefix}{reader.expand(word)}" for word in words] if entry.option else []
