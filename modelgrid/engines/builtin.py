"""The built-in engines, as data: one YAML file each in ``catalogue/``, read into :class:`Engine`."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  cattrs evaluates the annotations
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

from modelgrid.engines.names import builtin_names, read_entry

#: The engine that those declared in the configuration start from.
CUSTOM = "custom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What something adds to a server's start: arguments and environment, with placeholders."""

    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """What a task adds to a server's start, and the API paths that the engine then serves."""

    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    apis: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthData:
    """*path* answers 200 when the server is ready; *command* asks the same inside the container."""

    path: str
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeData:
    """A podman volume; ``{slug}`` in *name* makes it the model's own."""

    name: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """How one server serves several models.

    *command* takes the place of the engine's, where there is one; *env* is added; *upstream_model* is what the server
    then calls each model. *folder*: it finds the weights by looking into a folder, each named by its slug.
    """

    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    upstream_model: str = ""
    folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A model server as the catalogue describes it.

    Placeholders in texts: ``{model}`` the name that clients ask for, ``{source}`` the weights as the server
    sees them, ``{host}`` and ``{port}`` where it listens, ``{state}`` its folder on the host (native only),
    ``{program}`` the program as it is run there, ``{slug}`` the name as unit names have it, ``{value}`` the value of
    an option; of a shared server ``{models}`` and ``{sources}`` all of them with ``;`` between, ``{count}`` how many.

    Attributes:
        base: the built-in engine that one of the configuration starts from; empty for a built-in one.
        legacy: why it should not be chosen any more; empty where nothing speaks against it.
        images: container image by vendor (``nvidia``, ``amd``, ``intel``, ``cpu``), or by vendor and processor
            (``cpu-aarch64``), which goes first.
        entrypoint: replaces the image's own; empty keeps it.
        program: program on a host's PATH, or an absolute path; empty where there is none.
        image_program: what ``{program}`` is in a container: the program's name in the images.
        image_command: arguments that the image's entrypoint needs before *command* and the program has.
        native_command: arguments that the program needs before *command* and the image's entrypoint has.
        embedded: module that can stand in for *program* on a host that lacks it.
        sources: kinds of ``source`` that it takes: path, package, repository, name; none: it needs no source.
        fetches: those of *sources* that the server gets from the network itself.
        command: arguments.
        env: in the container and on the host; *env_native* on the host only.
        options: what fields of a model add: context, parallel, gpus, tensor_parallel, memory_share, idle_unload,
            revision. One with memory_share takes that share of each GPU at its start, whatever it needs.
        vendors: what GPUs of a vendor add.
        tasks: by name: generate, embed, rerank, transcribe, speak.
        shared: how one server serves several models; none where it cannot.
        upstream_model: what the server calls the model, from ``{model}`` and ``{source}``.
        after_start: argv run for each model before the server counts as started.
        shm_size: bytes of /dev/shm; 0 leaves podman's default.
    """

    name: str
    base: str = ""
    description: str
    legacy: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    entrypoint: str = ""
    port: int
    program: str = ""
    image_program: str = ""
    image_command: tuple[str, ...] = ()
    native_command: tuple[str, ...] = ()
    embedded: str = ""
    sources: tuple[str, ...]
    fetches: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_native: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Words] = field(default_factory=dict)
    vendors: Mapping[str, Words] = field(default_factory=dict)
    shared: Shared | None = None
    tasks: Mapping[str, TaskData]
    health: HealthData
    upstream_model: str = "{model}"
    volumes: tuple[VolumeData, ...] = ()
    after_start: tuple[str, ...] = ()
    shm_size: int = 0


@cache
def builtin_engines() -> Mapping[str, Engine]:
    """Read the catalogue, once: a command asks for it several times.

    A file that does not fit :class:`Engine` is a fault of ours and raises as it is; a test reads them all.
    """
    from cattrs import Converter  # noqa: PLC0415  the import costs 50 ms

    converter = Converter(forbid_extra_keys=True)
    engines = {}
    for name in builtin_names():
        engines[name] = converter.structure({"name": name, **read_entry(name)}, Engine)
    return MappingProxyType(engines)
