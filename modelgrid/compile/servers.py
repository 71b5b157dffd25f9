"""How one model's server is started: the engine's words, filled in for a container or a program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from modelgrid.compile.engines import extra_arguments, fill, fill_all
from modelgrid.config.fit import misfits, source_of
from modelgrid.config.schema import Runtime
from modelgrid.engines.builtin import Words
from modelgrid.errors import ConfigError
from modelgrid.host.facts import Gpu, HostFacts, Vendor
from modelgrid.ir import Container, Isolated, Mount, Process, Published, Scope, Volume
from modelgrid.models.sources import SourceKind, package_path
from modelgrid.models.splits import split_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.config.schema import Model
    from modelgrid.engines.builtin import Engine
    from modelgrid.ir import Endpoint
    from modelgrid.models.sources import Source

#: Where weights of the host are shown in a container.
_MODELS = PurePosixPath("/models")

#: What a native server may open beside the pseudo devices (systemd.resource-control(5), DeviceAllow=).
_DEVICE_NODES = {
    Vendor.NVIDIA: ("char-nvidia*",),
    Vendor.AMD: ("/dev/kfd", "char-drm"),
    Vendor.INTEL: ("char-drm",),
}


class ServerError(Exception):
    """This model cannot be served so. *field* of the model is at fault."""

    def __init__(self, code: str, message: str, field: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The host of *facts*. *foreign*: it is, or may be, another than the one that compiles."""

    facts: HostFacts
    scope: Scope
    foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model with its engine and source, before it has a place.

    Attributes:
        fetches: whether the server gets its weights from the network itself.
        isolated: whether its container is on the internal network.
    """

    name: str
    slug: str
    model: Model
    engine: Engine
    source: Source | None
    fetches: bool
    isolated: bool


def wanted(name: str, slug: str, model: Model, engine: Engine, target: Target) -> Wanted:
    """Pair *model* with *engine*.

    Raises:
        ServerError: the engine does not take such a source or task, or the target cannot keep what the model asks for.
    """
    try:
        source = source_of(name, model, engine)
    except ConfigError as error:
        raise ServerError("MG3018", error.message, "source", error.hint or "") from error
    for misfit in misfits(model, source, engine):
        raise ServerError(misfit.code, misfit.message, misfit.field, misfit.hint)
    _check_target(model, source, target)
    fetches = source is not None and source.kind.value in engine.fetches
    egress = fetches if model.egress is None else model.egress
    isolated = target.scope is Scope.SYSTEM and model.runtime is Runtime.PODMAN and not egress
    return Wanted(name=name, slug=slug, model=model, engine=engine, source=source, fetches=fetches, isolated=isolated)


def _check_target(model: Model, source: Source | None, target: Target) -> None:
    facts = target.facts
    if target.foreign and source is not None and source.kind is SourceKind.PATH:
        path = PureWindowsPath(source.value) if facts.system == "windows" else PurePosixPath(source.value)
        if not path.is_absolute():
            raise ServerError(
                "MG4008",
                f"the source {source.value} is relative to this configuration, and the target is another host",
                "source",
                "write the absolute path on that host",
            )
    if model.runtime is Runtime.PODMAN and facts.podman is None and (target.foreign or facts.system == "linux"):
        raise ServerError("MG4005", "the host has no podman", "runtime", "install podman there, or use runtime: native")
    if model.egress is False and target.scope is Scope.USER:
        # a rootless container reaches the host over podman's default network alone, and the service manager of a
        # user may not attach the filter that closes a native server
        raise ServerError(
            "MG4006",
            "egress: false cannot be kept by units of a user",
            "egress",
            "leave egress out, or use the system's units: leave out --user",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server runs: its address, its GPUs, the bytes that it claims on each, and the host's folders."""

    endpoint: Endpoint
    gpus: tuple[Gpu, ...]
    claim: int
    facts: HostFacts
    base: PurePath
    cache: PurePath
    state: PurePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What starts, its environment sorted by name, and what it calls the model."""

    launch: Container | Process
    environment: tuple[tuple[str, str], ...]
    upstream_model: str


def build_server(want: Wanted, at: Place) -> Server:
    """Fill in the engine's words.

    Raises:
        ServerError: the engine has no image for the host's GPUs, or no program on it.
    """
    if want.model.runtime is Runtime.PODMAN:
        return _container(want, at)
    return _process(want, at)


def _container(want: Wanted, at: Place) -> Server:
    engine, model = want.engine, want.model
    vendor = at.gpus[0].vendor if at.gpus else Vendor.CPU
    image = model.image or engine.images.get(vendor.value)
    if image is None:
        known = ", ".join(sorted(engine.images)) or "none"
        raise ServerError(
            "MG4006",
            f"{engine.name} has no image for {vendor.value}, only for: {known}",
            "engine",
            "set an image for the engine or the model, or choose another engine",
        )
    weights = _host_path(want.source, at)
    values = _values(want, source=str(_MODELS / weights.name) if weights else _source_text(want.source))
    values |= {"host": "0.0.0.0", "port": str(engine.port)}  # noqa: S104  inside the container's own network
    values |= {"program": engine.image_program} if engine.image_program else {}
    attachment = Isolated(address=at.endpoint.host) if want.isolated else Published(port=at.endpoint.port)
    launch = Container(
        image=image,
        pull=not image.startswith("localhost/"),
        entrypoint=engine.entrypoint,
        arguments=_arguments(want, at, values),
        port=engine.port,
        attachment=attachment,
        mounts=_mounts(weights),
        volumes=tuple(Volume(name=fill(item.name, values), target=item.target) for item in engine.volumes),
        devices=tuple(_cdi_name(gpu) for gpu in at.gpus),
        shm_size=engine.shm_size,
        health_command=fill(engine.health.command, values),
        fetches=want.fetches,
        after_start=fill_all(engine.after_start, values) if want.fetches else (),
    )
    environment = _environment(want, at, values, engine.environment)
    return Server(launch=launch, environment=environment, upstream_model=_upstream_model(want, values))


def _mounts(weights: PurePath | None) -> tuple[Mount, ...]:
    """Show the weights below /models, each file of split ones: the server finds the rest by the name of one."""
    if weights is None:
        return ()
    files = [weights if name == weights.name else weights.with_name(name) for name in split_names(weights.name)]
    return tuple(Mount(source=str(file), target=str(_MODELS / file.name)) for file in files)


def _process(want: Wanted, at: Place) -> Server:
    engine = want.engine
    weights = _host_path(want.source, at)
    values = _values(want, source=str(weights) if weights else _source_text(want.source))
    values |= {"host": at.endpoint.host, "port": str(at.endpoint.port), "state": str(at.state)}
    program = _program(engine, at.facts)
    values["program"] = program[0]
    environment = _environment(want, at, values, {**engine.environment, **engine.environment_native})
    launch = Process(
        argv=(*program, *engine.native_command, *_arguments(want, at, values)),
        devices=_DEVICE_NODES[at.gpus[0].vendor] if at.gpus else (),
        state_directory=f"modelgrid/{want.slug}" if "{state}" in "".join(engine.environment_native.values()) else "",
        egress=want.fetches if want.model.egress is None else want.model.egress,
        after_start=fill_all(engine.after_start, values) if want.fetches else (),
    )
    return Server(launch=launch, environment=environment, upstream_model=_upstream_model(want, values))


def _upstream_model(want: Wanted, values: Mapping[str, str]) -> str:
    name = fill(want.engine.upstream_model, values)
    if name:
        return name
    raise ServerError(
        "MG3007",
        f"{want.engine.name} calls its model by the source, and none is given",
        "source",
        f"give a source, or change `upstream_model` under engines.{want.engine.name}",
    )


def _program(engine: Engine, facts: HostFacts) -> tuple[str, ...]:
    if engine.program:
        found = engine.program if PurePosixPath(engine.program).is_absolute() else facts.program(engine.program)
        if found is not None:
            return (found,)
    if engine.embedded and facts.embedded_llama:
        return (facts.python, "-P", "-m", engine.embedded)
    if not engine.program:
        raise ServerError(
            "MG4005",
            f"{engine.name} names no program to run on the host",
            "runtime",
            f"set `program` under engines.{engine.name}, or use runtime: podman",
        )
    alternative = ", or `pip install 'modelgrid[local]'` for the embedded one" if engine.embedded else ""
    raise ServerError(
        "MG4005",
        f"the host has no program {engine.program} on its PATH",
        "runtime",
        f"install it, set its path as `program` under engines.{engine.name}, or use runtime: podman{alternative}",
    )


def _arguments(want: Wanted, at: Place, values: Mapping[str, str]) -> tuple[str, ...]:
    engine = want.engine
    words = [
        *fill_all(engine.command, values),
        *fill_all(engine.tasks[want.model.task.value].command, values),
    ]
    for option, value in _options(want, at).items():
        words += fill_all(engine.options.get(option, Words()).command, {**values, "value": value})
    return (*words, *extra_arguments(want.model.args))


def _environment(
    want: Wanted, at: Place, values: Mapping[str, str], texts: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    environment = {name: fill(text, values) for name, text in texts.items()}
    for option, value in _options(want, at).items():
        added = want.engine.options.get(option, Words()).environment
        environment |= {name: fill(text, {**values, "value": value}) for name, text in added.items()}
    return tuple(sorted((environment | want.model.env).items()))


def _options(want: Wanted, at: Place) -> dict[str, str]:
    """What the model says that engines have options for, as text."""
    options: dict[str, str] = {}
    if want.model.context is not None:
        options["context"] = str(want.model.context)
    if want.model.parallel is not None:
        options["parallel"] = str(want.model.parallel)
    if at.gpus:
        options["gpus"] = str(len(at.gpus))
    if len(at.gpus) > 1:
        options["tensor_parallel"] = str(len(at.gpus))
    if at.gpus and at.claim:
        smallest = min(gpu.memory for gpu in at.gpus)
        # rounded down: shares on one GPU must not sum to more than 1
        options["memory_share"] = f"{at.claim * 100 // smallest / 100:.2f}"
    return options


def _values(want: Wanted, *, source: str) -> dict[str, str]:
    return {"model": want.name, "slug": want.slug, "source": source}


def _source_text(source: Source | None) -> str:
    return "" if source is None else source.value


def _host_path(source: Source | None, at: Place) -> PurePath | None:
    """The file or folder of the host that holds the weights; none where the engine has them itself."""
    if source is None:
        return None
    if source.kind is SourceKind.PATH:
        return at.base / source.value
    if source.kind is SourceKind.PACKAGE:
        return package_path(source, at.cache)
    return None


def _cdi_name(gpu: Gpu) -> str:
    # NVIDIA's specification names a GPU by index and by UUID, AMD's by index only
    match gpu.vendor:
        case Vendor.NVIDIA:
            return f"nvidia.com/gpu={gpu.uuid}"
        case Vendor.AMD:
            return f"amd.com/gpu={gpu.index}"
        case Vendor.INTEL | Vendor.CPU:
            raise ServerError(
                "MG4006",
                f"containers get GPUs by CDI name, and none is known for {gpu.vendor.value}",
                "gpus",
                "set gpus: 0, or use runtime: native",
            )
