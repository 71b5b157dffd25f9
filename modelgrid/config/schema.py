"""The fields of ``modelgrid.yaml``, and nothing else: rules across fields are in :mod:`modelgrid.config.check`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from modelgrid.config.types import (
    ABSOLUTE_FORM,
    FILE_SHA256_FORM,
    IMAGES_FORM,
    SECRET_NAME_FORM,
    SHA256_FORM,
    VERSION_FORM,
    VOLUME_FORM,
    ApiPath,
    BodySize,
    EngineName,
    ModelName,
    NamePattern,
    OptionName,
    Patience,
    Port,
    Scalar,
    SecretName,
    ServerName,
    Size,
    SourceName,
    Span,
    Text,
    UnitKey,
    UnitValue,
    VendorName,
)


class Runtime(StrEnum):
    """How a model server runs."""

    PODMAN = "podman"
    DOCKER = "docker"
    NATIVE = "native"


class Task(StrEnum):
    """What a model server is started for."""

    GENERATE = "generate"
    EMBED = "embed"
    RERANK = "rerank"
    TRANSCRIBE = "transcribe"
    SPEAK = "speak"


class Load(StrEnum):
    """When a model server runs."""

    ALWAYS = "always"
    ON_DEMAND = "on-demand"


class OnChange(StrEnum):
    """What becomes of a server that runs when its unit changes."""

    RESTART = "restart"
    RELOAD = "reload"
    KEEP_OLD = "keep-old"
    MANUAL = "manual"


class Placing(StrEnum):
    """Which GPUs are taken first."""

    BINPACK = "binpack"
    SPREAD = "spread"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Target(_Section):
    """What the output must run on. Left out: this host."""

    facts: Text | None = None
    """File written by `modelgrid facts` on the host, relative to this file."""
    podman: Annotated[str, StringConstraints(strict=True, pattern=VERSION_FORM)] | None = Field(
        default=None, examples=["4.9", "5.4.2"]
    )
    """Version of podman there, in quotes, instead of that in the facts."""
    systemd: Annotated[int, Field(strict=True, ge=230, le=999)] | None = Field(default=None, examples=[257])
    """Version of systemd there, instead of that in the facts."""


class Greenlist(_Section):
    """The list of models that may be served, in the JSON form that docs/greenlist.md describes."""

    source: Text = Field(examples=["greenlist.json", "https://example.com/greenlist.json"])
    """Where the list is: a file, relative to this one, or an `https://` URL."""
    sha256: Annotated[str, StringConstraints(strict=True, pattern=FILE_SHA256_FORM)] | None = None
    """SHA-256 of the list, 64 hex digits. A URL needs it; with it, a list that changed is refused."""


class Key(_Section):
    """A client's API key, by its hash; made by `modelgrid key new`."""

    name: Text
    """Name of the key, for logs and for taking it back. Never the key."""
    sha256: Annotated[str, StringConstraints(strict=True, pattern=SHA256_FORM)]
    """SHA-256 of the key, 64 hex digits."""
    models: list[NamePattern] = Field(default_factory=lambda: ["*"], min_length=1)
    """Names of models, not aliases, that the key may ask for; `*` and `?` stand for any characters."""


class Gateway(_Section):
    """The OpenAI-compatible endpoint."""

    listen: Text = Field(default="127.0.0.1:8080", examples=["127.0.0.1:8080", "[::]:8080"])
    """Address and port. Beyond loopback at least one key is required."""
    keys: list[Key] = Field(default_factory=list)
    """Keys that clients may use. Without any, on loopback, no key is asked for."""
    max_body: BodySize = Field(default=64 * 1024**2, json_schema_extra={"default": "64MiB"})
    """Largest request body, at least 1KiB; 64MiB when left out."""
    hold_time: Patience = Field(default=300.0, json_schema_extra={"default": "5m"})
    """How long a request waits for a model that `apply` is restarting; 5m when left out, 0s: it does not wait."""
    hold_requests: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = 1000
    """How many requests wait so at a time; more are told to try again, as those are that wait too long."""


class Network(_Section):
    """The internal network of model containers. They reach nothing outside it."""

    subnet: Text = "10.133.0.0/16"
    """IPv4 subnet that nothing else on the host or its LAN uses, /16 to /24."""
    docker_subnet: Text = "10.134.0.0/16"
    """The same for containers of Docker, which has networks of its own."""


class Health(_Section):
    """How to see that a server is ready."""

    path: ApiPath | None = None
    """HTTP path that answers 200 when the server is ready. Left out: that of the built-in engine, else `/health`."""
    command: Text | None = None
    """Command that podman runs in the container instead of a probe from the host."""


class Words(_Section):
    """What something adds to the start of a server. Placeholders are filled in."""

    command: list[Text] = Field(default_factory=list)
    """Arguments."""
    env: dict[Text, Text] = Field(default_factory=dict)
    """Environment."""


class TaskWords(_Section):
    """What a task adds to the start of a server, and what the server then answers."""

    command: list[Text] = Field(default_factory=list)
    """Arguments."""
    env: dict[Text, Text] = Field(default_factory=dict)
    """Environment."""
    apis: list[ApiPath] = Field(min_length=1)
    """API paths that the gateway may forward to it."""


class SharedServer(_Section):
    """How one server of an engine serves several models."""

    command: list[Text] = Field(default_factory=list)
    """Arguments in place of the engine's `command`. Left out: the same."""
    env: dict[Text, Text] = Field(default_factory=dict)
    """More environment. `{models}` and `{sources}` are all of them with `;` between, `{count}` how many."""
    upstream_model: Text | None = None
    """What the server then calls each model. Left out: the engine's `upstream_model`."""
    folder: Annotated[bool, Field(strict=True)] = False
    """Whether it finds the weights by looking into `/models`, each under its model's `{slug}`."""


class EngineVolume(_Section):
    """A volume that every container of an engine gets: a cache, or a library of weights."""

    name: Text
    """Name of the volume; `{slug}` in it makes it the model's own."""
    target: Annotated[str, StringConstraints(strict=True, pattern=ABSOLUTE_FORM)]
    """Folder in the container."""


class Engine(_Section):
    """A model server: changes to a built-in one, or one of your own.

    Placeholders in its texts: `{model}`, `{source}`, `{host}`, `{port}`, `{program}`, `{state}`, `{slug}`, in options
    `{value}`, and for several models on one server `{models}`, `{sources}` and `{count}`.
    """

    extends: EngineName | None = Field(default=None, examples=["vllm"])
    """Built-in engine that an engine of your own starts from. Left out: `custom`."""
    image: Text | None = None
    """Fully qualified container image, for every GPU."""
    images: dict[Annotated[str, StringConstraints(pattern=IMAGES_FORM)], Text] = Field(default_factory=dict)
    """Container images by vendor (`nvidia`, `amd`, `intel`, `cpu`), or by vendor and processor (`cpu-aarch64`)."""
    program: Text | None = None
    """Program on the host, for `runtime: native`: a name on its PATH or an absolute path."""
    image_program: Text | None = None
    """What `{program}` is in a container."""
    image_command: list[Text] | None = None
    """Arguments that the image's entrypoint needs first and the program has."""
    native_command: list[Text] | None = None
    """Arguments that the program needs first and the image's entrypoint has."""
    port: Port | None = None
    """Port that the server listens on inside its container."""
    entrypoint: Text | None = None
    """Program in the container instead of the image's entrypoint."""
    command: list[Text] | None = None
    """Arguments. `{model}`, `{source}`, `{host}` and `{port}` are filled in."""
    env: dict[Text, Text] = Field(default_factory=dict)
    """Environment of the server."""
    env_native: dict[Text, Text] = Field(default_factory=dict)
    """Environment on the host only, for `runtime: native`."""
    options: dict[OptionName, Words] = Field(default_factory=dict)
    """What fields of a model add: `context: {command: [--ctx-size, "{value}"]}`."""
    vendors: dict[VendorName, Words] = Field(default_factory=dict)
    """What GPUs of a vendor add."""
    tasks: dict[Task, TaskWords] = Field(default_factory=dict)
    """What it can be started for."""
    shared: SharedServer | None = None
    """How one server serves several models. Left out, where `command` is given: it cannot."""
    sources: list[SourceName] | None = Field(default=None, min_length=1)
    """Kinds of source that it takes; `none`: it can do without."""
    fetches: list[SourceName] | None = None
    """Those of its sources that the server gets from the network itself."""
    health: Health | None = None
    """How to see that it is ready."""
    upstream_model: Text | None = Field(default=None, examples=["{source}"])
    """What the server calls the model, if not by the name that clients use. `{model}` and `{source}` are filled in."""
    apis: list[ApiPath] | None = None
    """API paths that the gateway may forward to it, for every task."""
    after_start: list[Text] | None = None
    """Command that is run in the container for each model before the server counts as started."""
    volumes: list[EngineVolume] | None = None
    """Volumes that every container of it gets."""
    shm_size: Size | None = None
    """Size of /dev/shm in the container."""


class MountedVolume(_Section):
    """A folder or file of the host, or a volume, that a container sees."""

    source: Annotated[str, StringConstraints(strict=True, pattern=VOLUME_FORM)]
    """Absolute path on the host, or name of a volume, which is made where it is missing and never removed."""
    target: Annotated[str, StringConstraints(strict=True, pattern=ABSOLUTE_FORM)]
    """Path in the container. A volume of the engine with this path is replaced."""
    writable: Annotated[bool, Field(strict=True)] = False
    """Whether the server may write to a path of the host. Volumes are always writable."""
    relabel: Annotated[bool, Field(strict=True)] = False
    """Whether podman gives the files of the path the label that SELinux lets every container read (`:z`)."""


class Resources(_Section):
    """Limits of a server, beside its GPUs."""

    memory: Size | None = None
    """Main memory, after which the kernel ends it."""
    cpus: Annotated[float, Field(gt=0, le=4096)] | None = None
    """Processors, also parts of one."""
    tasks: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Processes and threads."""


class Selinux(_Section):
    """What SELinux makes of a container, where the host has it."""

    type: Annotated[str, StringConstraints(strict=True, pattern=SECRET_NAME_FORM)] | None = Field(
        default=None, examples=["nvidia_container_t"]
    )
    """Type of the process, from a policy that the host has."""
    disable: Annotated[bool, Field(strict=True)] = False
    """Whether the container is not separated by SELinux at all. `plan` shows it."""


class Secret(_Section):
    """Where a secret is. Never the secret."""

    podman: Annotated[str, StringConstraints(strict=True, pattern=SECRET_NAME_FORM)] | None = None
    """Name of a podman secret (`podman secret create`)."""
    file: Annotated[str, StringConstraints(strict=True, pattern=ABSOLUTE_FORM)] | None = None
    """Absolute path of a file on the host that only root reads."""
    encrypted: Annotated[str, StringConstraints(strict=True, pattern=ABSOLUTE_FORM)] | None = None
    """Absolute path of a file that `systemd-creds encrypt` wrote on the host."""


class _Serving(_Section):
    """How a server runs: what a model with a server of its own and a shared server have in common."""

    runtime: Runtime = Runtime.PODMAN
    """`podman`: a container. `docker`: one of Docker's. `native`: a program on the host."""
    image: Text | None = None
    """Container image instead of the engine's."""
    context: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Context length in tokens."""
    parallel: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Requests served at once."""
    gpus: Annotated[int, Field(strict=True, ge=0)] | list[Annotated[int, Field(strict=True, ge=0)] | Text] | None = None
    """How many GPUs, or which, by index or UUID. Left out: one where the host has any."""
    vram: Size | None = None
    """Memory that it takes, over all its GPUs. Left out, it is estimated from the weights where they are at hand."""
    args: dict[Text, Scalar | list[Scalar]] | list[Text] = Field(default_factory=dict)
    """More arguments of the engine: `max-num-seqs: 64` becomes `--max-num-seqs 64`, `true` a bare flag; or a list of
    words, given as they are."""
    env: dict[Text, Text] = Field(default_factory=dict)
    """More environment of the server."""
    secrets: dict[Text, Text] = Field(default_factory=dict, examples=[{"HF_TOKEN_PATH": "hf-token"}])
    """Variables that name a secret of the `secrets` section. One that ends in `_PATH` or `_FILE` gets the path of a
    file that holds it; any other gets the secret itself, which only a podman secret can be."""
    port: Port | None = None
    """Loopback port of the server. Left out, one is chosen that stays the same while the name does."""
    egress: Annotated[bool, Field(strict=True)] | None = None
    """Whether the container may open connections to the outside. Left out: only where it fetches its weights."""
    start_timeout: Span = Field(default=600.0, json_schema_extra={"default": "10m"})
    """How long the server may take until it is ready, at least 1s; `10m` when left out."""
    replicas: Annotated[int, Field(strict=True, ge=1, le=64)] = 1
    """How many servers do the same; the gateway spreads requests over them."""
    load: Load = Load.ALWAYS
    """`always`: it runs with the grid. `on-demand`: it is started by hand or by what asks for it, and may end others
    that take turns with it on a GPU."""
    on_change: OnChange = OnChange.RESTART
    """What `apply` does when the server's unit changes. `restart`: it restarts it, and no request is lost. `reload`: it
    has it reloaded, by `ReloadSignal` or `ReloadCmd` under `quadlet`. `keep-old`: it lets it go on until it starts
    again. `manual`: the same, and `plan` and `status` say that its restart waits."""
    idle_unload: Span | None = Field(default=None, examples=["15m"])
    """After how long without a request the engine frees the memory of a model, where the engine can."""
    volumes: list[MountedVolume] = Field(default_factory=list)
    """More of the host's folders and volumes in the container."""
    resources: Resources = Field(default_factory=Resources)
    """Limits beside the GPUs."""
    selinux: Selinux = Field(default_factory=Selinux)
    """What SELinux makes of the container."""
    quadlet: dict[UnitKey, UnitValue] = Field(default_factory=dict, examples=[{"Ulimit": "memlock=-1:-1"}])
    """Keys of the quadlet's [Container] that this language has no field for."""
    systemd: dict[UnitKey, UnitValue] = Field(default_factory=dict, examples=[{"Nice": 5}])
    """Keys of the unit's [Service] and [Unit] that this language has no field for."""


class Model(_Serving):
    """A model that clients can ask for."""

    # what check says of it, for editors: a server of its own, or a shared one
    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["engine"]}, {"required": ["server"]}]})

    engine: EngineName | None = None
    """Engine that serves it alone: a built-in one, or one declared under `engines`."""
    server: ServerName | None = None
    """Server of the `servers` section that serves it beside others. Then how it runs is said there."""
    task: Task = Task.GENERATE
    """`generate`: chat and completions. `embed`, `rerank`, `transcribe`, `speak`: what the names say."""
    source: Text | None = Field(default=None, examples=["/srv/models/qwen.gguf", "hf://Qwen/Qwen2.5-7B-Instruct"])
    """Weights: a file or folder of the host (relative to this file), `hf://ORG/NAME`, `package://NAME` for weights
    in a Python package, or the engine's own name of the model."""
    aliases: list[ModelName] = Field(default_factory=list)
    """Other names that clients may use."""
    fallback: list[ModelName] = Field(default_factory=list)
    """Models that answer instead, in this order, while no server of this one can be reached."""


class Server(_Serving):
    """A server that several models share."""

    engine: EngineName
    """Engine: one that can serve several models, such as ollama or llamacpp."""


class Placement(_Section):
    """How models are spread over the GPUs."""

    strategy: Placing = Placing.BINPACK
    """`binpack`: as few GPUs as possible. `spread`: the emptiest first."""
    reserve: Size = Field(default=0, json_schema_extra={"default": "0B"})
    """Memory of each GPU that is given to no model."""


class Monitor(_Section):
    """A timer that looks how the host differs from what was applied to it, as `modelgrid status --drift` does."""

    every: Span = Field(default=900.0, json_schema_extra={"default": "15m"})
    """How often, at least 1s; `15m` when left out."""
    metrics: Annotated[str, StringConstraints(strict=True, pattern=ABSOLUTE_FORM)] | None = Field(
        default=None, examples=["/var/lib/prometheus/node-exporter"]
    )
    """Folder on the host that node_exporter's textfile collector reads: `modelgrid.prom` is written there. Left out,
    what is found is in the journal alone."""


class Config(_Section):
    """A `modelgrid.yaml`."""

    version: Literal[1]
    """Version of this language."""
    target: Target | None = None
    """The host that the output must run on. Left out: this one."""
    greenlist: Greenlist | None = None
    """The list of models that may be served. Left out: every model may."""
    gateway: Gateway = Field(default_factory=Gateway)
    """Where the gateway listens, and who may use it."""
    network: Network = Field(default_factory=Network)
    """The internal network of model containers."""
    placement: Placement = Field(default_factory=Placement)
    """How models are spread over the GPUs."""
    monitor: Monitor | None = None
    """A timer that looks for drift. Left out: there is none."""
    secrets: dict[SecretName, Secret] = Field(default_factory=dict)
    """Where secrets are, by names that models use."""
    engines: dict[EngineName, Engine] = Field(default_factory=dict)
    """Changes to built-in engines, and engines of your own, by name."""
    servers: dict[ServerName, Server] = Field(default_factory=dict)
    """Servers that several models share, by name."""
    models: dict[ModelName, Model] = Field(default_factory=dict)
    """Models by the names that clients ask for."""
