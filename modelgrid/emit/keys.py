"""Since which podman and systemd the keys exist that are emitted, and the refusal of a target that lacks one.

Podman: the ``supported…Keys`` maps of pkg/systemd/quadlet/quadlet.go at each tag. systemd: its NEWS file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.diagnostics import Report
from modelgrid.emit.faults import too_old
from modelgrid.emit.unitfile import parse_unit
from modelgrid.errors import ConfigError, InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.emit.artifact import Artifact
    from modelgrid.emit.unitfile import Key

#: (section, key) to the first podman, and (section, key, value) where the value came later than its key.
PODMAN: Mapping[tuple[str, ...], tuple[int, int]] = {
    ("Container", "AddDevice"): (4, 4),
    ("Container", "ContainerName"): (4, 4),
    ("Container", "DropCapability"): (4, 4),
    ("Container", "Entrypoint"): (5, 0),
    ("Container", "Environment"): (4, 4),
    ("Container", "Exec"): (4, 4),
    ("Container", "HealthCmd"): (4, 5),
    ("Container", "HealthInterval"): (4, 5),
    ("Container", "HealthOnFailure"): (4, 5),
    ("Container", "HealthRetries"): (4, 5),
    ("Container", "HealthStartupCmd"): (4, 5),
    ("Container", "HealthStartupInterval"): (4, 5),
    ("Container", "HealthStartupTimeout"): (4, 5),
    ("Container", "HealthTimeout"): (4, 5),
    ("Container", "IP"): (4, 5),
    ("Container", "Image"): (4, 4),
    ("Container", "Label"): (4, 4),
    ("Container", "Network"): (4, 4),
    ("Container", "NoNewPrivileges"): (4, 4),
    ("Container", "Notify"): (4, 4),
    # 4.x takes it for false: the unit would be active before its server is ready
    ("Container", "Notify", "healthy"): (5, 0),
    ("Container", "PodmanArgs"): (4, 4),
    ("Container", "PublishPort"): (4, 4),
    ("Container", "Pull"): (4, 6),
    ("Container", "ReadOnly"): (4, 4),
    ("Container", "ShmSize"): (4, 7),
    ("Container", "StopTimeout"): (5, 0),
    ("Container", "Volume"): (4, 4),
    ("Image", "Image"): (4, 8),
    ("Network", "DisableDNS"): (4, 4),
    ("Network", "Gateway"): (4, 4),
    ("Network", "Internal"): (4, 4),
    ("Network", "Label"): (4, 4),
    ("Network", "NetworkName"): (4, 7),
    ("Network", "Subnet"): (4, 4),
    ("Quadlet", "DefaultDependencies"): (5, 3),
}

#: (section, key) to the first systemd; what is older than 230 is not told apart.
SYSTEMD: Mapping[tuple[str, str], int] = {
    ("Install", "WantedBy"): 0,
    ("Service", "AmbientCapabilities"): 0,
    ("Service", "CapabilityBoundingSet"): 0,
    ("Service", "DeviceAllow"): 0,
    ("Service", "DevicePolicy"): 0,
    ("Service", "DynamicUser"): 235,
    ("Service", "Environment"): 0,
    ("Service", "ExecCondition"): 243,
    ("Service", "ExecReload"): 0,
    ("Service", "ExecStart"): 0,
    ("Service", "ExecStartPost"): 0,
    ("Service", "ExecStopPost"): 0,
    ("Service", "IPAddressAllow"): 235,
    ("Service", "IPAddressDeny"): 235,
    ("Service", "KeyringMode"): 235,
    ("Service", "KillMode"): 0,
    ("Service", "KillSignal"): 0,
    ("Service", "LimitNOFILE"): 0,
    ("Service", "LoadCredential"): 247,
    ("Service", "LockPersonality"): 235,
    ("Service", "MemoryDenyWriteExecute"): 231,
    ("Service", "NoNewPrivileges"): 0,
    ("Service", "NotifyAccess"): 0,
    ("Service", "PrivateDevices"): 0,
    ("Service", "PrivateMounts"): 239,
    ("Service", "PrivateNetwork"): 0,
    ("Service", "PrivateTmp"): 0,
    ("Service", "PrivateUsers"): 232,
    ("Service", "ProcSubset"): 247,
    ("Service", "ProtectClock"): 245,
    ("Service", "ProtectControlGroups"): 232,
    ("Service", "ProtectHome"): 0,
    ("Service", "ProtectHostname"): 242,
    ("Service", "ProtectKernelLogs"): 244,
    ("Service", "ProtectKernelModules"): 232,
    ("Service", "ProtectKernelTunables"): 232,
    ("Service", "ProtectProc"): 247,
    ("Service", "ProtectSystem"): 232,
    ("Service", "RemainAfterExit"): 0,
    ("Service", "RemoveIPC"): 232,
    ("Service", "Restart"): 0,
    ("Service", "RestartMaxDelaySec"): 254,
    ("Service", "RestartSec"): 0,
    ("Service", "RestartSteps"): 254,
    ("Service", "RestrictAddressFamilies"): 0,
    ("Service", "RestrictNamespaces"): 233,
    ("Service", "RestrictRealtime"): 231,
    ("Service", "RestrictSUIDSGID"): 242,
    ("Service", "StateDirectory"): 235,
    ("Service", "SuccessExitStatus"): 0,
    ("Service", "SupplementaryGroups"): 0,
    ("Service", "SyslogIdentifier"): 0,
    ("Service", "SystemCallArchitectures"): 0,
    ("Service", "SystemCallErrorNumber"): 0,
    ("Service", "SystemCallFilter"): 231,
    ("Service", "TimeoutStartSec"): 0,
    ("Service", "TimeoutStopSec"): 0,
    ("Service", "Type"): 240,  # `exec`, the latest of its values that is emitted
    ("Service", "UMask"): 0,
    ("Service", "User"): 0,
    ("Unit", "After"): 0,
    ("Unit", "Description"): 0,
    ("Unit", "PartOf"): 0,
    ("Unit", "RequiresMountsFor"): 0,
    ("Unit", "StartLimitIntervalSec"): 230,
    ("Unit", "Wants"): 0,
}


def check_support(artifact: Artifact, *, podman: tuple[int, ...], systemd: int) -> None:
    """See that every key of the unit *artifact* exists on the target. Versions of nothing (``()``, 0) are not known.

    Raises:
        ConfigError: the target is too old for a key; the message names it.
        InternalError: the tables lack a key that is emitted.
    """
    for (section, key), values in parse_unit(artifact.content).items():
        if section.startswith("X-"):
            continue
        if (section, key) in SYSTEMD:
            needed = SYSTEMD[section, key]
            if systemd and systemd < needed:
                raise _too_old(artifact, (section, key), f"systemd {needed}", str(systemd))
        elif (section, key) in PODMAN:
            first = max(PODMAN.get((section, key, value), PODMAN[section, key]) for value in values)
            if podman and podman[:2] < first:
                raise _too_old(artifact, (section, key), f"podman {first[0]}.{first[1]}", ".".join(map(str, podman)))
        else:
            raise InternalError(f"{artifact.path}: no table says which version brought {key}= in [{section}]")


def _too_old(artifact: Artifact, key: Key, needed: str, found: str) -> ConfigError:
    message = f"{artifact.path} needs {key[1]}=, which came with {needed}, and the target has {found}"
    hint = f"upgrade the target to {needed} or later"
    return ConfigError(message, hint=hint, report=Report((too_old(artifact, key, message, hint),)))
