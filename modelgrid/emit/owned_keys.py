"""Keys that a configuration may not set by hand, as ModelGrid writes them itself; with what to use instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "the container and its unit are named after the model"
_IMAGE = "write `image`"
_COMMAND = "write `args`, or `command` under `engines`"
_HEALTH = "write `health` under `engines`"
_NETWORK = "write `egress` or `port`"
_TIMEOUT = "write `start_timeout`"
_ENV = "write `env`"
_USERNS = "write UserNS, UIDMap or GIDMap, which took its place"
_READY = "a unit is active when its server answers; write `health` under `engines`"
_TYPE = "ModelGrid starts and stops the server, and its unit depends on how"

#: Keys of [Container].
OWNED_QUADLET: Mapping[str, str] = {
    "AutoUpdate": "which image runs is written in `image`, so that a change of it is reviewed",
    "ContainerName": _NAME,
    "Entrypoint": "write `entrypoint` under `engines`",
    "Environment": _ENV,
    "Exec": _COMMAND,
    "HealthCmd": _HEALTH,
    "HealthInterval": _HEALTH,
    "HealthOnFailure": _HEALTH,
    "HealthRetries": _HEALTH,
    "HealthStartPeriod": _HEALTH,
    "HealthStartupCmd": _HEALTH,
    "HealthStartupInterval": _HEALTH,
    "HealthStartupRetries": _HEALTH,
    "HealthStartupSuccess": _HEALTH,
    "HealthStartupTimeout": _HEALTH,
    "HealthTimeout": _HEALTH,
    "IP": _NETWORK,
    "IP6": _NETWORK,
    "Image": _IMAGE,
    "Network": _NETWORK,
    "Notify": _READY,
    "Pod": "a model is a container of its own",
    "PublishPort": _NETWORK,
    "Pull": _IMAGE,
    "RemapGid": _USERNS,
    "RemapUid": _USERNS,
    "RemapUidSize": _USERNS,
    "RemapUsers": _USERNS,
    "Rootfs": _IMAGE,
    "ServiceName": _NAME,
    "StartWithPod": "a model is a container of its own",
    "StopTimeout": _TYPE,
    "VolatileTmp": "write Tmpfs, which took its place",
}

#: Options of podman that would undo what those keys say, for `PodmanArgs`.
OWNED_OPTIONS: Mapping[str, str] = {
    "--cidfile": _TYPE,
    "--cgroup-parent": _TYPE,
    "--detach": _TYPE,
    "--entrypoint": OWNED_QUADLET["Entrypoint"],
    "--env": _ENV,
    "--health-cmd": _HEALTH,
    "--ip": _NETWORK,
    "--ip6": _NETWORK,
    "--mac-address": _NETWORK,
    "--name": _NAME,
    "--net": _NETWORK,
    "--network": _NETWORK,
    "--no-healthcheck": _HEALTH,
    "--pod": OWNED_QUADLET["Pod"],
    "--publish": _NETWORK,
    "--publish-all": _NETWORK,
    "--pull": _IMAGE,
    "--replace": _TYPE,
    "--restart": "systemd restarts the unit; write Restart under `systemd`",
    "--rm": _TYPE,
    "--rootfs": _IMAGE,
    "--sdnotify": _READY,
    "--stop-timeout": _TYPE,
    "-P": _NETWORK,
    "-d": _TYPE,
    "-e": _ENV,
    "-p": _NETWORK,
}

#: Keys of [Unit] and [Service].
OWNED_SYSTEMD: Mapping[str, str] = {
    "BusName": _TYPE,
    "DefaultDependencies": _TYPE,
    "Delegate": "podman needs its control groups as it has them",
    "DelegateSubgroup": "podman needs its control groups as it has them",
    "Description": _NAME,
    "DynamicUser": "of a container write User under `quadlet`; a program runs as a user of its own",
    "Environment": _ENV,
    "ExecCondition": _TYPE,
    "ExecReload": "of a container write ReloadCmd or ReloadSignal under `quadlet`",
    "ExecStart": _COMMAND,
    "ExecStop": _TYPE,
    "Group": "of a container write Group under `quadlet`; a program runs as a user of its own",
    "GuessMainPID": _TYPE,
    "KillMode": _TYPE,
    "KillSignal": _TYPE,
    "NotifyAccess": _READY,
    "PIDFile": _TYPE,
    "PartOf": "all units are part of modelgrid.target",
    "RemainAfterExit": _TYPE,
    "StateDirectory": "it is named after the model",
    "SyslogIdentifier": _NAME,
    "TimeoutSec": _TIMEOUT,
    "TimeoutStartSec": _TIMEOUT,
    "TimeoutStopSec": _TYPE,
    "Type": _READY,
    "User": "of a container write User under `quadlet`; a program runs as a user of its own",
}
