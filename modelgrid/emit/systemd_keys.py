"""systemd's keys in [Unit], [Service] and [Install]: since which systemd each is there, how its value is written.

Of [Timer] there are those that are emitted, for nobody adds any. The versions are those that systemd.unit(5),
systemd.service(5), systemd.timer(5), systemd.exec(5), systemd.kill(5) and systemd.resource-control(5) of systemd 262
give; where a page gives one version for several keys, or none, systemd's NEWS decides. The forms follow the parser of
each key (src/core/load-fragment-gperf.gperf.in). Left out are keys that systemd ignores by now, and those for disk
images, BPF programs and USB functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Form(Enum):
    """How the value of a key is written."""

    #: One command.
    COMMAND = auto()
    #: One NAME=VALUE, in which specifiers are expanded.
    ENVIRONMENT = auto()
    #: The rest of the line, in which specifiers are expanded: a path, a name, a condition.
    LINE = auto()
    #: Paths or pairs of paths in a list that is unquoted, in which specifiers are expanded.
    PATHS = auto()
    #: Names of units, or paths in a list that keeps backslashes.
    UNITS = auto()
    #: Numbers, spans, sizes and fixed words, in which nothing is expanded.
    WORDS = auto()
    #: The same where a percent sign has its plain meaning.
    AMOUNT = auto()
    BOOLEAN = auto()


@dataclass(frozen=True, slots=True)
class SystemdKey:
    """A key that systemd reads.

    Attributes:
        since: the first systemd that has it; 0 for those that were always there.
        several: whether each line of it counts. Of others the last one does.
    """

    since: int
    form: Form
    several: bool


#: By section and form: each key with the first systemd that has it.
_TABLE: Mapping[str, Mapping[Form, str]] = {
    "Install": {
        Form.UNITS: """
            Alias:201 Also:201 RequiredBy:201 UpheldBy:254 WantedBy:201
        """,
    },
    "Service": {
        Form.COMMAND: """
            ExecCondition:243 ExecReload:0 ExecReloadPost:259 ExecStart:0 ExecStartPost:0 ExecStartPre:0
            ExecStop:0 ExecStopPost:0
        """,
        Form.ENVIRONMENT: """
            Environment:0
        """,
        Form.LINE: """
            AppArmorProfile:210 BusName:0 EnvironmentFile:0 ExecSearchPath:250 Group:0 IPCNamespacePath:248
            IPEgressFilterPath:243 IPIngressFilterPath:243 ImportCredential:254 LoadCredential:247
            LoadCredentialEncrypted:250 LogExtraFields:236 NetworkNamespacePath:242 OpenFile:253 PAMName:0
            PIDFile:0 RootDirectory:0 RootImage:233 SELinuxContext:209 StandardError:0 StandardInput:0
            StandardOutput:0 SyslogIdentifier:0 TTYPath:0 User:0 UserNamespacePath:259 UtmpIdentifier:0
            WorkingDirectory:0
        """,
        Form.PATHS: """
            BindPaths:233 BindReadOnlyPaths:233 CacheDirectory:235 ConfigurationDirectory:235 ExecPaths:248
            ExtensionDirectories:251 InaccessiblePaths:231 LogsDirectory:235 NoExecPaths:248 ReadOnlyPaths:231
            ReadWritePaths:231 RuntimeDirectory:211 StateDirectory:235 TemporaryFileSystem:238
        """,
        Form.UNITS: """
            Slice:208 Sockets:0
        """,
        Form.AMOUNT: """
            CPUQuota:213 CacheDirectoryQuota:258 LogsDirectoryQuota:258 ManagedOOMMemoryPressureLimit:247
            MemoryHigh:231 MemoryLow:231 MemoryMax:231 MemoryMin:240 MemorySwapMax:232 MemoryZSwapMax:253
            StartupMemoryHigh:254 StartupMemoryLow:254 StartupMemoryMax:254 StartupMemorySwapMax:254
            StartupMemoryZSwapMax:254 StateDirectoryQuota:258 TasksMax:227
        """,
        Form.BOOLEAN: """
            BindLogSockets:257 CPUSchedulingResetOnFork:0 CacheDirectoryAccounting:258 CoredumpReceive:255
            DynamicUser:235 GuessMainPID:0 IOAccounting:230 IPAccounting:235 IgnoreSIGPIPE:0 LockPersonality:235
            LogsDirectoryAccounting:258 MemoryAccounting:208 MemoryDenyWriteExecute:231 MemoryKSM:254
            MemoryZSwapWriteback:256 MountAPIVFS:233 NoNewPrivileges:187 NonBlocking:0 PrivateDevices:209
            PrivateIPC:248 PrivateMounts:239 PrivateNetwork:0 ProtectClock:245 ProtectKernelLogs:244
            ProtectKernelModules:232 ProtectKernelTunables:232 RefreshOnReload:260 RemainAfterExit:0
            RemoveIPC:232 RestrictRealtime:231 RestrictSUIDSGID:242 RootDirectoryStartOnly:0 RootEphemeral:254
            SendSIGHUP:207 SendSIGKILL:187 SetLoginEnvironment:255 StateDirectoryAccounting:258
            SyslogLevelPrefix:0 TTYReset:0 TTYVHangup:0 TTYVTDisallocate:0 TasksAccounting:227
        """,
        Form.WORDS: """
            AllowedCPUs:244 AllowedMemoryNodes:244 AmbientCapabilities:229 BindNetworkInterface:260
            CPUAffinity:0 CPUPressureThresholdSec:261 CPUPressureWatch:261 CPUQuotaPeriodSec:242
            CPUSchedulingPolicy:0 CPUSchedulingPriority:0 CPUSetPartition:261 CPUWeight:232
            CacheDirectoryMode:235 CapabilityBoundingSet:0 ConfigurationDirectoryMode:235 CoredumpFilter:246
            Delegate:218 DelegateNamespaces:258 DelegateSubgroup:254 DeviceAllow:208 DevicePolicy:208
            DisableControllers:240 ExitType:250 FileDescriptorStoreMax:219 FileDescriptorStorePreserve:254
            FinalKillSignal:240 IODeviceLatencyTargetSec:240 IODeviceWeight:230 IOPressureThresholdSec:261
            IOPressureWatch:261 IOReadBandwidthMax:230 IOReadIOPSMax:230 IOSchedulingClass:0
            IOSchedulingPriority:0 IOWeight:230 IOWriteBandwidthMax:230 IOWriteIOPSMax:230 IPAddressAllow:235
            IPAddressDeny:235 KeyringMode:235 KillMode:187 KillSignal:187 LimitAS:0 LimitCORE:0 LimitCPU:0
            LimitDATA:0 LimitFSIZE:0 LimitLOCKS:0 LimitMEMLOCK:0 LimitMSGQUEUE:0 LimitNICE:0 LimitNOFILE:0
            LimitNPROC:0 LimitRSS:0 LimitRTPRIO:0 LimitRTTIME:0 LimitSIGPENDING:0 LimitSTACK:0 LogLevelMax:236
            LogNamespace:245 LogRateLimitBurst:240 LogRateLimitIntervalSec:240 LogsDirectoryMode:235
            ManagedOOMMemoryPressure:247 ManagedOOMMemoryPressureDurationSec:257 ManagedOOMPreference:248
            ManagedOOMSwap:247 MemoryPressureThresholdSec:254 MemoryPressureWatch:254 MemoryTHP:260 MountFlags:0
            NUMAMask:243 NUMAPolicy:243 Nice:0 NotifyAccess:0 OOMPolicy:243 OOMScoreAdjust:0 PassEnvironment:228
            Personality:209 PrivateBPF:258 PrivatePIDs:257 PrivateTmp:0 PrivateUsers:232 ProcSubset:247
            ProtectControlGroups:232 ProtectHome:214 ProtectHostname:242 ProtectProc:247 ProtectSystem:214
            ReloadSignal:253 Restart:0 RestartForceExitStatus:215 RestartKillSignal:244 RestartMaxDelaySec:254
            RestartMode:254 RestartPreventExitStatus:189 RestartRandomizedDelaySec:262 RestartSec:0
            RestartSteps:254 RestrictAddressFamilies:211 RestrictFileSystems:250 RestrictNamespaces:233
            RestrictNetworkInterfaces:250 RuntimeDirectoryMode:234 RuntimeDirectoryPreserve:235
            RuntimeMaxSec:229 RuntimeRandomizedExtraSec:250 SecureBits:0 SocketBindAllow:249 SocketBindDeny:249
            StartupAllowedCPUs:250 StartupAllowedMemoryNodes:250 StartupCPUWeight:232 StartupIOWeight:230
            StateDirectoryMode:235 SuccessExitStatus:189 SupplementaryGroups:0 SyslogFacility:0 SyslogLevel:0
            SystemCallArchitectures:209 SystemCallErrorNumber:209 SystemCallFilter:231 SystemCallLog:247
            TTYColumns:250 TTYRows:250 TimeoutAbortSec:243 TimeoutCleanSec:244 TimeoutSec:0
            TimeoutStartFailureMode:246 TimeoutStartSec:188 TimeoutStopFailureMode:246 TimeoutStopSec:188
            TimerSlackNSec:0 Type:0 UMask:0 UnsetEnvironment:235 UtmpMode:225 WatchdogSec:0 WatchdogSignal:240
        """,
    },
    "Timer": {
        Form.WORDS: """
            AccuracySec:209 OnActiveSec:201 OnUnitActiveSec:201
        """,
    },
    "Unit": {
        Form.BOOLEAN: """
            AllowIsolate:201 DefaultDependencies:201 IgnoreOnIsolate:201 RefuseManualStart:201
            RefuseManualStop:201 StopWhenUnneeded:201 SurviveFinalKillSignal:255
        """,
        Form.WORDS: """
            CollectMode:236 FailureAction:236 FailureActionExitStatus:240 JobRunningTimeoutSec:232
            JobTimeoutAction:240 JobTimeoutSec:201 OnFailureJobMode:209 OnSuccessJobMode:249
            StartLimitAction:230 StartLimitBurst:230 StartLimitIntervalSec:230 SuccessAction:236
            SuccessActionExitStatus:240
        """,
        Form.LINE: """
            AssertACPower:218 AssertArchitecture:218 AssertCPUFeature:248 AssertCPUPressure:250 AssertCPUs:242
            AssertCapability:218 AssertControlGroupController:240 AssertCredential:252
            AssertDirectoryNotEmpty:218 AssertEnvironment:246 AssertFileIsExecutable:218 AssertFileNotEmpty:218
            AssertFirstBoot:218 AssertGroup:234 AssertHost:218 AssertIOPressure:250 AssertKernelCommandLine:218
            AssertKernelModuleLoaded:258 AssertKernelVersion:237 AssertMemory:242 AssertMemoryPressure:250
            AssertNeedsUpdate:218 AssertOSRelease:249 AssertPathExists:218 AssertPathExistsGlob:218
            AssertPathIsDirectory:218 AssertPathIsEncrypted:246 AssertPathIsMountPoint:218
            AssertPathIsReadWrite:218 AssertPathIsSocket:260 AssertPathIsSymbolicLink:218 AssertSecurity:218
            AssertUser:234 AssertVersion:258 AssertVirtualization:218 ConditionACPower:201
            ConditionArchitecture:201 ConditionCPUFeature:248 ConditionCPUPressure:250 ConditionCPUs:242
            ConditionCapability:201 ConditionControlGroupController:240 ConditionCredential:252
            ConditionDirectoryNotEmpty:201 ConditionEnvironment:246 ConditionFileIsExecutable:201
            ConditionFileNotEmpty:201 ConditionFirmware:249 ConditionFirstBoot:201 ConditionGroup:234
            ConditionHost:201 ConditionIOPressure:250 ConditionKernelCommandLine:201
            ConditionKernelModuleLoaded:258 ConditionKernelVersion:237 ConditionMemory:242
            ConditionMemoryPressure:250 ConditionNeedsUpdate:201 ConditionOSRelease:249 ConditionPathExists:201
            ConditionPathExistsGlob:201 ConditionPathIsDirectory:201 ConditionPathIsEncrypted:246
            ConditionPathIsMountPoint:201 ConditionPathIsReadWrite:201 ConditionPathIsSocket:260
            ConditionPathIsSymbolicLink:201 ConditionSecurity:201 ConditionUser:234 ConditionVersion:258
            ConditionVirtualization:201 Description:201 Documentation:201 JobTimeoutRebootArgument:240
            RebootArgument:229
        """,
        Form.UNITS: """
            After:201 Before:201 BindsTo:201 Conflicts:201 JoinsNamespaceOf:209 OnFailure:201 OnSuccess:249
            PartOf:201 PropagatesReloadTo:201 PropagatesStopTo:249 ReloadPropagatedFrom:201 Requires:201
            RequiresMountsFor:201 Requisite:201 StopPropagatedFrom:249 Upholds:249 Wants:201 WantsMountsFor:256
        """,
    },
}

#: Keys whose form does not say that each line counts.
_SEVERAL_NAMES = """
    AllowedCPUs AllowedMemoryNodes AmbientCapabilities CPUAffinity CapabilityBoundingSet Delegate DeviceAllow
    DisableControllers Documentation EnvironmentFile IODeviceLatencyTargetSec IODeviceWeight IOReadBandwidthMax
    IOReadIOPSMax IOWriteBandwidthMax IOWriteIOPSMax IPAddressAllow IPAddressDeny IPEgressFilterPath
    IPIngressFilterPath ImportCredential LoadCredential LoadCredentialEncrypted LogExtraFields NUMAMask OpenFile
    PassEnvironment RestartForceExitStatus RestartPreventExitStatus RestrictAddressFamilies RestrictFileSystems
    RestrictNamespaces RestrictNetworkInterfaces SecureBits SocketBindAllow SocketBindDeny StartupAllowedCPUs
    StartupAllowedMemoryNodes SuccessExitStatus SupplementaryGroups SystemCallArchitectures SystemCallFilter
    SystemCallLog UnsetEnvironment
"""
_SEVERAL = frozenset(_SEVERAL_NAMES.split())
_LISTS = frozenset({Form.COMMAND, Form.ENVIRONMENT, Form.PATHS, Form.UNITS})


def _is_several(key: str, form: Form) -> bool:
    return (form in _LISTS and key != "Slice") or key in _SEVERAL or key.startswith(("Condition", "Assert"))


#: By section and key.
SYSTEMD: Mapping[str, Mapping[str, SystemdKey]] = {
    section: {
        key: SystemdKey(int(since), form, _is_several(key, form))
        for form, text in forms.items()
        for key, _, since in (entry.partition(":") for entry in text.split())
    }
    for section, forms in _TABLE.items()
}

#: Values that are younger than their key.
VALUES: Mapping[tuple[str, str, str], int] = {
    ("Service", "KillMode", "mixed"): 209,
    ("Service", "PrivateTmp", "disconnected"): 257,
    ("Service", "PrivateUsers", "full"): 258,
    ("Service", "PrivateUsers", "identity"): 257,
    ("Service", "PrivateUsers", "self"): 257,
    ("Service", "ProtectControlGroups", "private"): 257,
    ("Service", "ProtectControlGroups", "strict"): 257,
    ("Service", "ProtectHome", "tmpfs"): 239,
    ("Service", "ProtectHostname", "private"): 258,
    ("Service", "ProtectSystem", "strict"): 232,
    ("Service", "RestartMode", "direct"): 254,
    ("Service", "Type", "exec"): 240,
    ("Service", "Type", "notify-reload"): 253,
}
