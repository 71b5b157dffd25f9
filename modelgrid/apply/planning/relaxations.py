"""What loosens the isolation that units have by default; the plan shows each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.apply.planning.container_options import container_options, run_options
from modelgrid.apply.planning.units import Role
from modelgrid.emit.names import NETWORK, NETWORK_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelgrid.apply.planning.units import Unit

_TRUE = frozenset({"1", "yes", "true", "on", "t"})
_FALSE = frozenset({"0", "no", "false", "off", "f"})

#: What podman takes for `--security-opt` and what that does to the container.
_SECURITY = {
    "label=disable": "is not confined by SELinux",
    "label=nested": "may set SELinux labels of its own",
    "seccomp=unconfined": "may use every system call",
    "apparmor=unconfined": "is not confined by AppArmor",
}
_SECURITY_VALUES = {
    "label=type:": "has the SELinux type",
    "unmask=": "sees what podman hides of /proc and /sys:",
}

#: Namespaces that a container has of its own by default.
_HOST_NAMESPACES = {
    "--cgroupns": "control groups",
    "--ipc": "shared memory and semaphores",
    "--pid": "processes",
    "--uts": "the host name",
}

#: Keys of the sandbox of our units that are true or false (templates/systemd/).
_SANDBOX = (
    *("LockPersonality", "PrivateMounts", "PrivateTmp", "ProtectClock", "ProtectControlGroups", "ProtectHome"),
    *("ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RemoveIPC"),
    *("RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "DynamicUser", "MemoryDenyWriteExecute"),
)
_CALLS = "@system-service"
_REMOVES = re.compile(r"-/usr/bin/(podman|docker) rm --force [\w .-]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """One thing that a unit may do and by default may not. *model* is empty where it serves none."""

    unit: str
    model: str
    text: str


def relaxations_of(unit: Unit) -> tuple[Relaxation, ...]:
    """Return what is looser in *unit* than the defaults of ModelGrid."""
    run = run_options(unit.value("Service", "ExecStart")) if unit.plain else None
    if unit.artifact.path.endswith(".container"):
        texts = _container(unit, container_options(unit.values))
    elif run is not None:
        texts = _container(unit, run)
    elif unit.role in {Role.SERVICE, Role.GATEWAY} and unit.plain and unit.name.endswith(".service"):
        texts = _service(unit)
    else:
        return ()
    return tuple(Relaxation(unit=unit.name, model=unit.model, text=text) for text in texts)


def _container(unit: Unit, options: Mapping[str, Sequence[str]]) -> Iterator[str]:
    networks = [value.partition(":")[0] for value in options.get("--network", ())]
    if networks not in ([NETWORK], [NETWORK_NAME]) or options.get("--publish"):
        yield f"has egress: it is on {', '.join(networks) or 'the default network of podman'}"
    if not _last(options, "--read-only"):
        yield "may write to its root file system"
    if "all" not in options.get("--cap-drop", ()):
        yield "keeps the capabilities that podman gives by default"
    if added := options.get("--cap-add"):
        yield f"has the capabilities {', '.join(sorted(set(added)))}"
    # podman takes a colon too where there is no equals sign
    security = [v if "=" in v else v.replace(":", "=", 1) for v in options.get("--security-opt", ())]
    if not _gains_nothing(security):
        yield "may gain privileges by programs in its image"
    yield from _security(security)
    if _last(options, "--privileged"):
        yield "is privileged"
    for option, what in _HOST_NAMESPACES.items():
        if options.get(option, ("",))[-1] == "host":
            yield f"shares {what} with the host"
    if _last(options, "--env-host"):
        yield "gets the environment variables of podman"
    yield from _writable_mounts(options)
    yield from _commands(unit)


def _gains_nothing(security: Sequence[str]) -> bool:
    said = [value for value in security if value.startswith("no-new-privileges")]
    return bool(said) and said[-1].partition("=")[2].lower() in {"", *_TRUE}


def _security(security: Sequence[str]) -> Iterator[str]:
    for value, text in _SECURITY.items():
        if value in security:
            yield text
    for prefix, text in _SECURITY_VALUES.items():
        if found := [value.removeprefix(prefix) for value in security if value.startswith(prefix)]:
            yield f"{text} {', '.join(found)}"


def _writable_mounts(options: Mapping[str, Sequence[str]]) -> Iterator[str]:
    paths = []
    for value in options.get("--volume", ()):
        source, _, rest = value.partition(":")
        if source.startswith("/") and "ro" not in rest.partition(":")[2].split(","):
            paths.append(source)
    for value in options.get("--mount", ()):
        fields = dict(field.partition("=")[::2] for field in value.split(","))
        source = fields.get("source") or fields.get("src") or ""
        read_only = next((fields[name] for name in ("ro", "readonly") if name in fields), "false")
        if fields.get("type", "bind") in {"bind", "glob"} and source and read_only.lower() not in {"", *_TRUE}:
            paths.append(source)
    if paths:
        yield f"may write to {', '.join(paths)} of the host"


def _commands(unit: Unit) -> Iterator[str]:
    for command in unit.values.get(("Service", "ExecStartPre"), ()):
        # ours removes what a container of before has left
        if not _REMOVES.match(command):
            yield f"runs a command on the host before it starts: {command}"


def _service(unit: Unit) -> Iterator[str]:
    model = unit.role is Role.SERVICE
    if model and "any" not in unit.words("Service", "IPAddressDeny"):
        yield "has egress: it may connect to other hosts"
    elif model and (others := unit.words("Service", "IPAddressAllow") - {"localhost"}):
        yield f"may exchange packets with {', '.join(sorted(others))}"
    if not _is_true(unit, "Service", "NoNewPrivileges"):
        yield "may gain privileges by set-user-id programs"
    if unit.value("Service", "ProtectSystem") != "strict":
        yield "may write to files of the system where its user may"
    if without := [key for key in _SANDBOX if unit.value("Service", key).lower() in _FALSE]:
        yield f"does without {', '.join(without)}"
    if not model:
        return
    if added := unit.words("Service", "AmbientCapabilities") | unit.words("Service", "CapabilityBoundingSet"):
        yield f"has the capabilities {', '.join(sorted(added))}"
    if paths := unit.words("Service", "ReadWritePaths") | unit.words("Service", "BindPaths"):
        yield f"may write to {', '.join(sorted(paths))} of the host"
    calls = {value for value in unit.values.get(("Service", "SystemCallFilter"), ()) if not value.startswith("~")}
    if more := calls - {_CALLS}:
        yield f"may use the system calls {', '.join(sorted(more))}"
    yield from _commands(unit)


def _is_true(unit: Unit, section: str, key: str) -> bool:
    return unit.value(section, key).lower() in _TRUE


def _last(options: Mapping[str, Sequence[str]], option: str) -> bool:
    return options.get(option, ("",))[-1].lower() in _TRUE
