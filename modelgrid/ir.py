"""The Deployment: what a configuration means on one host, with every default resolved.

``compile`` makes it, ``emit`` writes it out. Values are frozen and sorted; nothing here is optional
because "the user may not have said".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.diagnostics import Location


class Scope(Enum):
    """Whose systemd owns the units: the system's, or one user's (``--user``)."""

    SYSTEM = "system"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The part of the file that a value comes from: *path* like ``$.models["llama3:8b"]``."""

    path: str
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server listens: an IP address of this host or of its container network, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder or file of the host, shown in the container at *target*.

    *relabel*: its files get the label that SELinux lets every container read.
    """

    source: str
    target: str
    writable: bool = False
    relabel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A podman volume, made when it is missing and never removed by ``apply``: caches, pulled weights."""

    name: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolated:
    """The container is on ModelGrid's internal network at a fixed address: reachable from the host, no way out."""

    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The container is on podman's default network with *port* of the host's loopback published; it has egress."""

    port: int


Attachment: TypeAlias = Isolated | Published


#: The first podman with a generator of units (podman 4.4.0, release notes).
QUADLET_SINCE = (4, 4)


class Manager(Enum):
    """Who makes a container: podman by a quadlet, or podman or docker by a plain service that runs it."""

    QUADLET = "quadlet"
    PODMAN = "podman"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodmanSecret:
    """A podman secret in the container: as the *variable*, or as a file at *path* that the variable names."""

    name: str
    variable: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A file of the host that systemd hands to the service alone (systemd.exec(5), ``LoadCredential=``).

    The server finds it by *variable*, which holds a path. *encrypted*: systemd decrypts it.
    """

    name: str
    source: str
    variable: str
    encrypted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selinux:
    """The type of the container's process, empty for the policy's own; or no separation at all."""

    type: str = ""
    disable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A model server in a podman container.

    Attributes:
        manager: who makes the container.
        image: fully qualified reference.
        pull: whether a ``.image`` unit pulls it; a ``localhost/`` image must be on the host already.
        pull_size: bytes that a host pulls which has nothing of it; 0 where that is not known.
        entrypoint: replaces the image's entrypoint; empty leaves it as it is.
        arguments: given to the entrypoint.
        port: where the server listens inside the container.
        devices: CDI names, ``nvidia.com/gpu=GPU-…``, or device nodes, ``/dev/dri/renderD128``.
        groups: groups of the host that the server is in, for its devices; ``keep-groups`` for those of the user.
        shm_size: bytes of /dev/shm; 0 leaves podman's default.
        health_command: run by podman in the container, through its shell; empty where the image has no
            tool for it, and the host probes instead.
        after_start: argv run in the container, one after the other, before the unit counts as started
            (``ollama pull``).
        fetches: whether the server gets its weights from the network, and so starts when the host is online.
        podman_secrets: secrets that podman keeps.
        writable: whether the root file system of the container is writable; false is the hardened default.
    """

    manager: Manager = Manager.QUADLET
    image: str
    pull: bool
    pull_size: int = 0
    entrypoint: str = ""
    arguments: tuple[str, ...] = ()
    port: int
    attachment: Attachment
    mounts: tuple[Mount, ...] = ()
    volumes: tuple[Volume, ...] = ()
    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    shm_size: int = 0
    health_command: str = ""
    after_start: tuple[tuple[str, ...], ...] = ()
    fetches: bool = False
    writable: bool = False
    podman_secrets: tuple[PodmanSecret, ...] = ()
    selinux: Selinux = field(default_factory=Selinux)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A model server as a program on the host.

    Attributes:
        argv: the program by absolute path, then its arguments.
        devices: device nodes that the service may open (``char-nvidia*`` as systemd.resource-control(5)
            has it); empty closes all but the pseudo devices.
        state_directory: folder below the state root (/var/lib, or $XDG_STATE_HOME of a user) that the program
            may write to, ``modelgrid/llama3``; empty for none.
        egress: whether the program may open connections beyond this host (to fetch its weights).
        after_start: argv run on the host, in the service's environment, one after the other, before the unit counts
            as started.
    """

    argv: tuple[str, ...]
    devices: tuple[str, ...] = ()
    state_directory: str = ""
    egress: bool = False
    after_start: tuple[tuple[str, ...], ...] = ()


class OnChange(Enum):
    """What ``apply`` does with a server that runs when its unit changes.

    Attributes:
        RESTART: it is restarted, without a request being lost.
        RELOAD: it is reloaded, by what its unit has for that.
        KEEP_OLD: it goes on as it is until it starts again by itself.
        MANUAL: the same, and ``plan`` and ``status`` say that it waits for its restart.
    """

    RESTART = "restart"
    RELOAD = "reload"
    KEEP_OLD = "keep-old"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """When a server is ready: ``GET path`` answers 200. *start_timeout* bounds the wait, in seconds."""

    path: str
    start_timeout: float
    interval: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuClaim:
    """What a model takes of one GPU, in bytes; 0 where neither given nor known.

    Attributes:
        memory: what is asked for it.
        held: what its process takes: more than *memory* where the engine fills a share of the GPU.
    """

    uuid: str
    memory: int
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGpu:
    """A GPU of the target. *memory* and *reserve*, which no model may have, are in bytes."""

    uuid: str
    index: int
    name: str
    memory: int
    reserve: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits of a server: *memory* in bytes, *cpus* in processors, *tasks* in threads; 0 for none."""

    memory: int = 0
    cpus: float = 0.0
    tasks: int = 0


#: Values of a key of a unit, as the user wrote them.
UnitValues: TypeAlias = tuple[str | int | float | bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelServer:
    """One model server under systemd.

    Attributes:
        name: the model that it serves alone, or the server's own name where several models share it.
        slug: the name as unit names allow it, unique in the deployment.
        models: what clients can ask of it, sorted.
        environment: sorted by name.
        stop_timeout: seconds from SIGTERM to SIGKILL.
        on_demand: whether it does not start with the grid.
        on_change: what becomes of it when its unit changes.
        conflicts: units that it takes turns with: starting it stops them.
        starts_after: units that have to be started before it, where they start too.
        credentials: files that systemd hands to it.
        quadlet: keys of [Container] that the user added, sorted.
        systemd: keys of [Unit] and [Service] that the user added, sorted.
        origins: the paths in the configuration that fields of this value, and of its launch, come from.
    """

    name: str
    slug: str
    engine: str
    models: tuple[str, ...]
    launch: Container | Process
    endpoint: Endpoint
    health: Health
    environment: tuple[tuple[str, str], ...] = ()
    stop_timeout: float = 30.0
    claims: tuple[GpuClaim, ...] = ()
    on_demand: bool = False
    on_change: OnChange = OnChange.RESTART
    conflicts: tuple[str, ...] = ()
    starts_after: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    credentials: tuple[Credential, ...] = ()
    quadlet: tuple[tuple[str, UnitValues], ...] = ()
    systemd: tuple[tuple[str, UnitValues], ...] = ()
    origin: Origin
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    @property
    def unit(self) -> str:
        """Name of the systemd service, made by quadlet from a ``.container`` or written as it is."""
        return unit_of(self.slug)

    @property
    def isolated(self) -> bool:
        """Whether the server is a container on the internal network."""
        return isinstance(self.launch, Container) and isinstance(self.launch.attachment, Isolated)


def unit_of(slug: str) -> str:
    """Return the name of the service of the server with this *slug*."""
    return f"modelgrid-model-{slug}.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoute:
    """What clients can ask for, and the servers that answer.

    Attributes:
        name: what ``/v1/models`` lists.
        upstream_model: what the engine calls the model.
        apis: API paths of the engine that the gateway may forward, sorted.
        endpoints: of every server that serves it, at least one.
        fallback: models that answer while none of those can be reached, in order.
    """

    name: str
    engine: str
    aliases: tuple[str, ...] = ()
    upstream_model: str
    apis: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    health_path: str
    fallback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A client's key, known only by the SHA-256 of it (64 hex digits), and the models it may ask for.

    *models* are shell patterns (fnmatch), ``*`` for all.
    """

    name: str
    sha256: str
    models: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayService:
    """The gateway: where it listens, the interpreter that runs it, who may use it.

    An empty *keys* means that no key is asked for; ``check`` allows that on loopback only. *hold_time* is in seconds:
    how long a request waits for a model that is being changed, and *hold_requests* how many wait at a time.
    """

    listen: Endpoint
    python: str
    keys: tuple[ApiKey, ...] = ()
    max_body: int
    hold_time: float
    hold_requests: int
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An internal container network, in CIDR form, which *manager* makes."""

    manager: Manager = Manager.QUADLET
    subnet: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """A timer that looks for drift *every* so many seconds.

    *metrics* is the folder that the metrics are written to; empty for none. *python* is the interpreter that does it.
    """

    every: float
    metrics: str
    python: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything that one host shall run.

    Attributes:
        monitor: what looks for drift; none where nothing does.
        networks: those that a container is isolated on.
        podman: version of the target's podman; empty where nothing needs it.
        podman_program: podman on the target, an absolute path.
        docker_program: the same of Docker.
        systemd: version of the target's systemd.
        gpus: by index.
        settings: what the configuration says, as JSON has it, by path; sorted. For people: nothing runs by it.
        servers: sorted by name.
        routes: sorted by name.
    """

    scope: Scope
    gateway: GatewayService
    servers: tuple[ModelServer, ...] = ()
    routes: tuple[ModelRoute, ...] = ()
    networks: tuple[Network, ...] = ()
    monitor: Monitor | None = None
    podman: tuple[int, ...] = ()
    podman_program: str = "/usr/bin/podman"
    docker_program: str = "/usr/bin/docker"
    systemd: int = 0
    gpus: tuple[TargetGpu, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
