"""Quadlet's keys: since which podman each is there, how its value is read, which option of podman it becomes.

The table is that of the ``SupportedKeys`` maps and of the ``Convert…`` functions of pkg/systemd/quadlet/quadlet.go
at each release from 4.4.0 to 5.8.2; an option without a version of its own is in podman 4.4 (cmd/podman/common).
No release has taken a key away. Sections that ModelGrid never writes are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from modelgrid.ir import QUADLET_SINCE

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Major and minor number.
Version: TypeAlias = tuple[int, int]


class Reader(Enum):
    """How quadlet reads the value of a key: the name of its function, and so the encoder to write it with."""

    #: ``Lookup``: the rest of the last line.
    LOOKUP = auto()
    #: ``LookupAll``: the rest of each line.
    ALL = auto()
    #: ``LookupAllStrv``: words, unquoted.
    STRV = auto()
    #: ``LookupAllArgs``: words, unquoted and unescaped.
    ARGS = auto()
    #: ``LookupLastArgs``: the same of the last line only.
    LAST_ARGS = auto()
    #: ``LookupAllKeyVal``: words of the form NAME=VALUE.
    KEYVAL = auto()
    #: ``LookupBoolean``: true is the option, false is ``--option=false``.
    BOOLEAN = auto()
    #: ``LookupBooleanWithDefault``: true is the option with its prefix, false is nothing.
    FLAG = auto()
    #: ``LookupUint32``: a number.
    NUMBER = auto()

    @property
    def several(self) -> bool:
        """Whether each line counts, and not the last one only."""
        return self in {Reader.ALL, Reader.STRV, Reader.ARGS, Reader.KEYVAL}


@dataclass(frozen=True, slots=True)
class PodmanKey:
    """A key of a quadlet.

    Attributes:
        since: the first podman that takes it.
        option: what it becomes on podman's command line; empty where it is no option of its own.
        prefix: what stands before the value there: ``label=type:``.
        option_since: the first podman that has the option.
    """

    since: Version
    reader: Reader
    option: str = ""
    prefix: str = ""
    option_since: Version = (4, 4)


_K = PodmanKey
_R = Reader

#: The first podman with quadlet.
FIRST: Version = QUADLET_SINCE

#: The first podman for each kind of file; `.kube` and what ModelGrid never writes are left out.
KINDS: Mapping[str, Version] = {
    ".container": (4, 4),
    ".network": (4, 4),
    ".volume": (4, 4),
    ".image": (4, 8),
}

#: The first podman that looks for quadlets in folders below its own, and in links to folders there.
SUBFOLDERS: Version = (4, 7)
LINKED_FOLDERS: Version = (5, 3)

#: By section and key.
PODMAN: Mapping[str, Mapping[str, PodmanKey]] = {
    "Container": {
        "AddCapability": _K((4, 4), _R.STRV, "--cap-add"),
        "AddDevice": _K((4, 4), _R.STRV, "--device"),
        "AddHost": _K((5, 3), _R.ALL, "--add-host"),
        "Annotation": _K((4, 4), _R.KEYVAL, "--annotation"),
        "AppArmor": _K((5, 8), _R.LOOKUP, "--security-opt", prefix="apparmor="),
        "AutoUpdate": _K((4, 6), _R.LOOKUP, "--label", prefix="io.containers.autoupdate="),
        "CgroupsMode": _K((5, 3), _R.LOOKUP, "--cgroups"),
        "ContainerName": _K((4, 4), _R.LOOKUP, "--name"),
        "ContainersConfModule": _K((4, 8), _R.ALL, "--module"),
        "DNS": _K((4, 7), _R.ALL, "--dns"),
        "DNSOption": _K((4, 7), _R.ALL, "--dns-option"),
        "DNSSearch": _K((4, 7), _R.ALL, "--dns-search"),
        "DropCapability": _K((4, 4), _R.STRV, "--cap-drop"),
        "Entrypoint": _K((5, 0), _R.LOOKUP, "--entrypoint"),
        "Environment": _K((4, 4), _R.KEYVAL, "--env"),
        "EnvironmentFile": _K((4, 4), _R.ARGS, "--env-file"),
        "EnvironmentHost": _K((4, 4), _R.BOOLEAN, "--env-host"),
        "Exec": _K((4, 4), _R.LAST_ARGS),
        "ExposeHostPort": _K((4, 4), _R.ALL, "--expose"),
        "GIDMap": _K((4, 8), _R.STRV, "--gidmap"),
        "GlobalArgs": _K((4, 8), _R.ARGS),
        "Group": _K((4, 4), _R.LOOKUP),
        "GroupAdd": _K((5, 1), _R.ALL, "--group-add"),
        "HealthCmd": _K((4, 5), _R.LOOKUP, "--health-cmd"),
        "HealthInterval": _K((4, 5), _R.LOOKUP, "--health-interval"),
        "HealthLogDestination": _K((5, 3), _R.LOOKUP, "--health-log-destination", option_since=(5, 3)),
        "HealthMaxLogCount": _K((5, 3), _R.LOOKUP, "--health-max-log-count", option_since=(5, 3)),
        "HealthMaxLogSize": _K((5, 3), _R.LOOKUP, "--health-max-log-size", option_since=(5, 3)),
        "HealthOnFailure": _K((4, 5), _R.LOOKUP, "--health-on-failure"),
        "HealthRetries": _K((4, 5), _R.LOOKUP, "--health-retries"),
        "HealthStartPeriod": _K((4, 5), _R.LOOKUP, "--health-start-period"),
        "HealthStartupCmd": _K((4, 5), _R.LOOKUP, "--health-startup-cmd"),
        "HealthStartupInterval": _K((4, 5), _R.LOOKUP, "--health-startup-interval"),
        "HealthStartupRetries": _K((4, 5), _R.LOOKUP, "--health-startup-retries"),
        "HealthStartupSuccess": _K((4, 5), _R.LOOKUP, "--health-startup-success"),
        "HealthStartupTimeout": _K((4, 5), _R.LOOKUP, "--health-startup-timeout"),
        "HealthTimeout": _K((4, 5), _R.LOOKUP, "--health-timeout"),
        "HostName": _K((4, 6), _R.LOOKUP, "--hostname"),
        "HttpProxy": _K((5, 7), _R.BOOLEAN, "--http-proxy"),
        "IP": _K((4, 5), _R.LOOKUP, "--ip"),
        "IP6": _K((4, 5), _R.LOOKUP, "--ip6"),
        "Image": _K((4, 4), _R.LOOKUP),
        "Label": _K((4, 4), _R.KEYVAL, "--label"),
        "LogDriver": _K((4, 5), _R.LOOKUP, "--log-driver"),
        "LogOpt": _K((5, 2), _R.STRV, "--log-opt"),
        "Mask": _K((4, 6), _R.ARGS, "--security-opt", prefix="mask="),
        "Memory": _K((5, 5), _R.LOOKUP, "--memory"),
        "Mount": _K((4, 5), _R.ARGS, "--mount"),
        "Network": _K((4, 4), _R.ALL, "--network"),
        "NetworkAlias": _K((5, 2), _R.ALL, "--network-alias"),
        "NoNewPrivileges": _K((4, 4), _R.FLAG, "--security-opt", prefix="no-new-privileges"),
        "Notify": _K((4, 4), _R.LOOKUP),
        "PidsLimit": _K((4, 7), _R.LOOKUP, "--pids-limit"),
        "Pod": _K((5, 0), _R.LOOKUP),
        "PodmanArgs": _K((4, 4), _R.ARGS),
        "PublishPort": _K((4, 4), _R.ALL, "--publish"),
        "Pull": _K((4, 6), _R.LOOKUP, "--pull"),
        "ReadOnly": _K((4, 4), _R.BOOLEAN, "--read-only"),
        "ReadOnlyTmpfs": _K((4, 8), _R.BOOLEAN, "--read-only-tmpfs"),
        "ReloadCmd": _K((5, 5), _R.LAST_ARGS),
        "ReloadSignal": _K((5, 5), _R.LOOKUP),
        "RemapGid": _K((4, 4), _R.STRV),
        "RemapUid": _K((4, 4), _R.STRV),
        "RemapUidSize": _K((4, 4), _R.LOOKUP),
        "RemapUsers": _K((4, 4), _R.LOOKUP),
        "Retry": _K((5, 5), _R.LOOKUP, "--retry", option_since=(5, 0)),
        "RetryDelay": _K((5, 5), _R.LOOKUP, "--retry-delay", option_since=(5, 0)),
        "Rootfs": _K((4, 5), _R.LOOKUP),
        "RunInit": _K((4, 4), _R.BOOLEAN, "--init"),
        "SeccompProfile": _K((4, 4), _R.LOOKUP, "--security-opt", prefix="seccomp="),
        "Secret": _K((4, 5), _R.ARGS, "--secret"),
        "SecurityLabelDisable": _K((4, 5), _R.FLAG, "--security-opt", prefix="label=disable"),
        "SecurityLabelFileType": _K((4, 5), _R.LOOKUP, "--security-opt", prefix="label=filetype:"),
        "SecurityLabelLevel": _K((4, 5), _R.LOOKUP, "--security-opt", prefix="label=level:"),
        "SecurityLabelNested": _K((4, 6), _R.FLAG, "--security-opt", prefix="label=nested", option_since=(4, 5)),
        "SecurityLabelType": _K((4, 5), _R.LOOKUP, "--security-opt", prefix="label=type:"),
        "ServiceName": _K((5, 3), _R.LOOKUP),
        "ShmSize": _K((4, 7), _R.LOOKUP, "--shm-size"),
        "StartWithPod": _K((5, 3), _R.BOOLEAN),
        "StopSignal": _K((5, 2), _R.LOOKUP, "--stop-signal"),
        "StopTimeout": _K((5, 0), _R.LOOKUP, "--stop-timeout"),
        "SubGIDMap": _K((4, 8), _R.LOOKUP, "--subgidname"),
        "SubUIDMap": _K((4, 8), _R.LOOKUP, "--subuidname"),
        "Sysctl": _K((4, 6), _R.STRV, "--sysctl"),
        "Timezone": _K((4, 4), _R.LOOKUP, "--tz"),
        "Tmpfs": _K((4, 5), _R.ALL, "--tmpfs"),
        "UIDMap": _K((4, 8), _R.STRV, "--uidmap"),
        "Ulimit": _K((4, 7), _R.ALL, "--ulimit"),
        "Unmask": _K((4, 6), _R.ARGS, "--security-opt", prefix="unmask="),
        "User": _K((4, 4), _R.LOOKUP, "--user"),
        "UserNS": _K((4, 5), _R.LOOKUP, "--userns"),
        "VolatileTmp": _K((4, 4), _R.BOOLEAN),
        "Volume": _K((4, 4), _R.ALL, "--volume"),
        "WorkingDir": _K((4, 6), _R.LOOKUP, "--workdir"),
    },
    "Image": {
        "AllTags": _K((4, 8), _R.BOOLEAN, "--all-tags"),
        "Arch": _K((4, 8), _R.LOOKUP, "--arch"),
        "AuthFile": _K((4, 8), _R.LOOKUP, "--authfile"),
        "CertDir": _K((4, 8), _R.LOOKUP, "--cert-dir"),
        "ContainersConfModule": _K((4, 8), _R.ALL, "--module"),
        "Creds": _K((4, 8), _R.LOOKUP, "--creds"),
        "DecryptionKey": _K((4, 8), _R.LOOKUP, "--decryption-key"),
        "GlobalArgs": _K((4, 8), _R.ARGS),
        "Image": _K((4, 8), _R.LOOKUP),
        "ImageTag": _K((4, 8), _R.LOOKUP),
        "OS": _K((4, 8), _R.LOOKUP, "--os"),
        "PodmanArgs": _K((4, 8), _R.ARGS),
        "Policy": _K((5, 6), _R.LOOKUP, "--policy", option_since=(5, 6)),
        "Retry": _K((5, 5), _R.LOOKUP, "--retry", option_since=(5, 0)),
        "RetryDelay": _K((5, 5), _R.LOOKUP, "--retry-delay", option_since=(5, 0)),
        "ServiceName": _K((5, 3), _R.LOOKUP),
        "TLSVerify": _K((4, 8), _R.BOOLEAN, "--tls-verify"),
        "Variant": _K((4, 8), _R.LOOKUP, "--variant"),
    },
    "Network": {
        "ContainersConfModule": _K((4, 8), _R.ALL, "--module"),
        "DNS": _K((4, 7), _R.ALL, "--dns"),
        "DisableDNS": _K((4, 4), _R.BOOLEAN, "--disable-dns"),
        "Driver": _K((4, 4), _R.LOOKUP, "--driver"),
        "Gateway": _K((4, 4), _R.ALL, "--gateway"),
        "GlobalArgs": _K((4, 8), _R.ARGS),
        "IPAMDriver": _K((4, 4), _R.LOOKUP, "--ipam-driver"),
        "IPRange": _K((4, 4), _R.ALL, "--ip-range"),
        "IPv6": _K((4, 4), _R.BOOLEAN, "--ipv6"),
        "InterfaceName": _K((5, 6), _R.LOOKUP, "--interface-name", option_since=(4, 5)),
        "Internal": _K((4, 4), _R.BOOLEAN, "--internal"),
        "Label": _K((4, 4), _R.KEYVAL, "--label"),
        "NetworkDeleteOnStop": _K((5, 5), _R.BOOLEAN),
        "NetworkName": _K((4, 7), _R.LOOKUP),
        "Options": _K((4, 4), _R.KEYVAL, "--opt"),
        "PodmanArgs": _K((4, 6), _R.ARGS),
        "ServiceName": _K((5, 3), _R.LOOKUP),
        "Subnet": _K((4, 4), _R.ALL, "--subnet"),
    },
    "Volume": {
        "ContainersConfModule": _K((4, 8), _R.ALL, "--module"),
        "Copy": _K((4, 4), _R.BOOLEAN),
        "Device": _K((4, 4), _R.LOOKUP, "--opt", prefix="device="),
        "Driver": _K((4, 8), _R.LOOKUP, "--driver"),
        "GID": _K((6, 0), _R.NUMBER),
        "GlobalArgs": _K((4, 8), _R.ARGS),
        "Group": _K((4, 4), _R.NUMBER),
        "Image": _K((4, 8), _R.LOOKUP),
        "Label": _K((4, 4), _R.KEYVAL, "--label"),
        "Options": _K((4, 4), _R.LOOKUP),
        "PodmanArgs": _K((4, 6), _R.ARGS),
        "ServiceName": _K((5, 3), _R.LOOKUP),
        "Type": _K((4, 4), _R.LOOKUP, "--opt", prefix="type="),
        "UID": _K((6, 0), _R.NUMBER),
        "User": _K((4, 4), _R.NUMBER),
        "VolumeName": _K((4, 7), _R.LOOKUP),
    },
    "Quadlet": {
        "DefaultDependencies": _K((5, 3), _R.BOOLEAN),
    },
}

#: Values that are younger than their key.
VALUES: Mapping[tuple[str, str, str], Version] = {
    # 4.x takes it for false: the unit would be active before its server is ready
    ("Container", "Notify", "healthy"): (5, 0),
}


def has_quadlet(version: tuple[int, ...]) -> bool:
    """Whether a podman of *version* makes units of quadlets; one that is not known (``()``) counts as new."""
    return not version or version[:2] >= FIRST
