"""The Deployment: what a configuration means on one host, with every default resolved.

``compile`` makes it, ``emit`` writes it out. Values are frozen and sorted; nothing here is optional
because "the user may not have said".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
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
    """A folder or file of the host, shown in the container at *target*, read-only."""

    source: str
    target: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A model server in a podman container.

    Attributes:
        image: fully qualified reference.
        pull: whether a ``.image`` unit pulls it; a ``localhost/`` image must be on the host already.
        entrypoint: replaces the image's entrypoint; empty leaves it as it is.
        arguments: given to the entrypoint.
        port: where the server listens inside the container.
        devices: CDI names, ``nvidia.com/gpu=GPU-…``.
        shm_size: bytes of /dev/shm; 0 leaves podman's default.
        health_command: run by podman in the container, through its shell; empty where the image has no
            tool for it, and the host probes instead.
        after_start: argv run in the container before the unit counts as started (``ollama pull``).
        fetches: whether the server gets its weights from the network, and so starts when the host is online.
        writable: whether the root file system of the container is writable; false is the hardened default.
    """

    image: str
    pull: bool
    entrypoint: str = ""
    arguments: tuple[str, ...] = ()
    port: int
    attachment: Attachment
    mounts: tuple[Mount, ...] = ()
    volumes: tuple[Volume, ...] = ()
    devices: tuple[str, ...] = ()
    shm_size: int = 0
    health_command: str = ""
    after_start: tuple[str, ...] = ()
    fetches: bool = False
    writable: bool = False


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
        after_start: argv run on the host, in the service's environment, before the unit counts as started.
    """

    argv: tuple[str, ...]
    devices: tuple[str, ...] = ()
    state_directory: str = ""
    egress: bool = False
    after_start: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """When a server is ready: ``GET path`` answers 200. *start_timeout* bounds the wait, in seconds."""

    path: str
    start_timeout: float
    interval: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuClaim:
    """What a model takes of one GPU, in bytes; 0 where neither given nor known."""

    uuid: str
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelService:
    """One model server under systemd.

    Attributes:
        name: what clients ask for.
        slug: the name as unit names allow it, unique in the deployment.
        upstream_model: what the engine calls the model.
        apis: API paths of the engine that the gateway may forward, sorted.
        environment: sorted by name.
        stop_timeout: seconds from SIGTERM to SIGKILL.
    """

    name: str
    slug: str
    engine: str
    aliases: tuple[str, ...] = ()
    upstream_model: str
    launch: Container | Process
    endpoint: Endpoint
    health: Health
    apis: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    stop_timeout: float = 30.0
    claims: tuple[GpuClaim, ...] = ()
    origin: Origin

    @property
    def unit(self) -> str:
        """Name of the systemd service, made by quadlet from a ``.container`` or written as it is."""
        return f"modelgrid-model-{self.slug}.service"

    @property
    def isolated(self) -> bool:
        """Whether the server is a container on the internal network."""
        return isinstance(self.launch, Container) and isinstance(self.launch.attachment, Isolated)


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

    An empty *keys* means that no key is asked for; ``check`` allows that on loopback only.
    """

    listen: Endpoint
    python: str
    keys: tuple[ApiKey, ...] = ()
    max_body: int
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """ModelGrid's internal container network, in CIDR form."""

    subnet: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything that one host shall run.

    Attributes:
        network: present when a container is isolated on it.
        podman: version of the target's podman; empty where nothing needs it.
        systemd: version of the target's systemd.
        models: sorted by name.
    """

    scope: Scope
    gateway: GatewayService
    models: tuple[ModelService, ...] = field(default=())
    network: Network | None = None
    podman: tuple[int, ...] = ()
    systemd: int = 0
