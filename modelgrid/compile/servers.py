"""How one server is started: as a container or as a program, with the engine's words filled in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.compile.engines import fill, fill_all
from modelgrid.compile.wanted import ServerError, Wanted, WantedModel
from modelgrid.compile.words import arguments, environment, joined, options_of
from modelgrid.host.facts import Gpu, HostFacts, Vendor
from modelgrid.ir import (
    Container,
    Credential,
    Isolated,
    Manager,
    Mount,
    PodmanSecret,
    Process,
    Published,
    Scope,
    Selinux,
    Volume,
)
from modelgrid.models.sources import SourceKind, package_path
from modelgrid.models.splits import split_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelgrid.config.schema import Secret
    from modelgrid.ir import Endpoint
    from modelgrid.models.sources import Source

#: Where weights of the host are shown in a container.
_MODELS = PurePosixPath("/models")

#: Where secrets are shown in a container (podman-secret(1) has it as the default of mounted secrets).
_SECRETS = PurePosixPath("/run/secrets")

#: Ends of names of variables that hold the path of a secret.
_PATH_ENDS = ("_PATH", "_FILE")

#: Docker has secrets in swarms only, and its daemon sees nothing of the service that asks it for a container.
_NOT_BY_DOCKER = "use runtime: podman or native, or show the container a file of the host by `volumes`"

#: What a native server may open beside the pseudo devices (systemd.resource-control(5), DeviceAllow=).
_DEVICE_NODES = {
    Vendor.NVIDIA: ("char-nvidia*",),
    Vendor.AMD: ("/dev/kfd", "char-drm"),
    Vendor.INTEL: ("char-drm",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server runs.

    Attributes:
        gpus: those that it has; *share*: hundredths of the memory of each that the engine may take, where it asks.
        base: folder that relative sources start from.
        cache: folder of weights from Python packages.
        state: folder on the host that a native server keeps state in, and no other.
        revision: of the weights in a repository; empty where none is pinned.
        secrets: those that the configuration declares.
    """

    endpoint: Endpoint
    gpus: tuple[Gpu, ...]
    share: int | None
    facts: HostFacts
    scope: Scope
    base: PurePath
    cache: PurePath
    state: PurePath
    revision: Callable[[Source], str]
    secrets: Mapping[str, Secret]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What starts, its environment sorted by name, its credentials, and what it calls each model."""

    launch: Container | Process
    environment: tuple[tuple[str, str], ...]
    credentials: tuple[Credential, ...]
    upstream_models: Mapping[str, str]


def build_server(want: Wanted, at: Place) -> Built:
    """Fill in the engine's words.

    Raises:
        ServerError: the engine has no image for the host's GPUs or no program on it, or a secret cannot be handed over.
    """
    if want.manager is None:
        return _process(want, at)
    return _container(want, at, want.manager)


def image_of(want: Wanted, at: Place) -> str:
    """Return the image that the configuration names for the GPUs of *at*, before it is pinned.

    Raises:
        ServerError: there is none.
    """
    engine, vendor = want.engine, _vendor(at)
    named = want.serving.image or engine.images.get(f"{vendor}-{at.facts.arch}") or engine.images.get(vendor)
    if named is None:
        known = ", ".join(sorted(engine.images)) or "none"
        raise ServerError(
            "MG4006",
            f"{engine.name} has no image for {vendor} on {at.facts.arch}, only for: {known}",
            (*want.path, "engine"),
            "set an image for the engine or the model, or choose another engine",
        )
    return named


def _vendor(at: Place) -> str:
    return (at.gpus[0].vendor if at.gpus else Vendor.CPU).value


def _container(want: Wanted, at: Place, manager: Manager) -> Built:
    engine = want.engine
    image = image_of(want, at)
    each = {model.name: _model_values(want, model, _in_container(want, model, at)) for model in want.models}
    values = _values(want, each)
    values |= {"host": "0.0.0.0", "port": str(engine.port)}  # noqa: S104  inside the container's own network
    values |= {"program": engine.image_program} if engine.image_program else {}
    options = options_of(want, at.gpus, at.share, _revision(want, at))
    volumes = {item.target: Volume(name=fill(item.name, values), target=item.target) for item in engine.volumes}
    mounts = _mounts(want, at)
    for item in want.serving.volumes:
        volumes.pop(item.target, None)
        if item.source.startswith("/"):
            mounts.append(Mount(source=item.source, target=item.target, writable=item.writable, relabel=item.relabel))
        else:
            volumes[item.target] = Volume(name=item.source, target=item.target)
    secrets, credentials, variables = _secrets(want, at)
    nodes = any(gpu.node for gpu in at.gpus)
    launch = Container(
        manager=manager,
        image=image,
        pull=not image.startswith("localhost/"),
        entrypoint=engine.entrypoint,
        arguments=(*engine.image_command, *arguments(want, options, _vendor(at), values)),
        port=engine.port,
        attachment=Isolated(address=at.endpoint.host) if want.isolated else Published(port=at.endpoint.port),
        mounts=tuple(mounts),
        volumes=tuple(volumes.values()),
        devices=_devices(want, at),
        groups=("keep-groups",) if nodes and at.scope is Scope.USER else (),
        shm_size=engine.shm_size,
        health_command=fill(engine.health.command, values),
        fetches=want.fetches,
        after_start=_after_start(want, values, each),
        podman_secrets=secrets,
        selinux=Selinux(type=want.serving.selinux.type or "", disable=want.serving.selinux.disable),
    )
    variables |= dict(environment(want, options, _vendor(at), values, native=False))
    return Built(
        launch=launch,
        environment=tuple(sorted(variables.items())),
        credentials=credentials,
        upstream_models=_upstream_models(want, values, each),
    )


def _in_container(want: Wanted, model: WantedModel, at: Place) -> str:
    weights = _host_path(model.source, at)
    if weights is None:
        return _source_text(model.source)
    return str(_shown_at(want, model, weights) / weights.name) if not _in_folder(want) else str(_MODELS)


def _in_folder(want: Wanted) -> bool:
    return want.shared and want.engine.shared is not None and want.engine.shared.folder


def _shown_at(want: Wanted, model: WantedModel, weights: PurePath) -> PurePosixPath:
    """Return the folder of the container that the weights of *model* are shown in."""
    if want.shared and (not _in_folder(want) or len(split_names(weights.name)) > 1):
        return _MODELS / model.slug
    return _MODELS


def _mounts(want: Wanted, at: Place) -> list[Mount]:
    """Show the weights below /models, each file of split ones: the server finds the rest by the name of one."""
    mounts: list[Mount] = []
    for model in want.models:
        weights = _host_path(model.source, at)
        if weights is None:
            continue
        folder = _shown_at(want, model, weights)
        for name in split_names(weights.name):
            # a server that looks into the folder calls a model by the name of its file
            shown = f"{model.slug}{weights.suffix}" if _in_folder(want) and folder == _MODELS else name
            mounts.append(Mount(source=str(weights.with_name(name)), target=str(folder / shown)))
    return mounts


def _process(want: Wanted, at: Place) -> Built:
    engine = want.engine
    each = {}
    for model in want.models:
        weights = _host_path(model.source, at)
        each[model.name] = _model_values(want, model, str(weights) if weights else _source_text(model.source))
    values = _values(want, each)
    values |= {"host": at.endpoint.host, "port": str(at.endpoint.port), "state": str(at.state)}
    program = _program(want, at.facts)
    values["program"] = program[0]
    options = options_of(want, at.gpus, at.share, _revision(want, at))
    secrets, credentials, variables = _secrets(want, at)
    assert not secrets, "only containers have podman's secrets"
    launch = Process(
        argv=(*program, *engine.native_command, *arguments(want, options, _vendor(at), values)),
        devices=_DEVICE_NODES[at.gpus[0].vendor] if at.gpus else (),
        state_directory=f"modelgrid/{at.state.name}" if "{state}" in "".join(engine.env_native.values()) else "",
        egress=want.fetches if want.serving.egress is None else want.serving.egress,
        after_start=_after_start(want, values, each),
    )
    variables |= dict(environment(want, options, _vendor(at), values, native=True))
    return Built(
        launch=launch,
        environment=tuple(sorted(variables.items())),
        credentials=credentials,
        upstream_models=_upstream_models(want, values, each),
    )


def _model_values(want: Wanted, model: WantedModel, source: str) -> dict[str, str]:
    return {"model": model.name, "slug": model.slug if want.shared else want.slug, "source": source}


def _values(want: Wanted, each: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return what placeholders stand for: of the one model, or of all that share the server."""
    if not want.shared:
        return dict(each[want.models[0].name])
    for name, values in each.items():
        if joined(["", ""]) in values["source"]:
            hint = f"{joined(['', ''])} stands between the sources of models on one server: rename the file"
            raise ServerError("MG3018", f"the source of {name} cannot be listed", ("models", name, "source"), hint)
    return {
        "slug": want.slug,
        "models": joined(list(each)),
        "sources": joined([values["source"] for values in each.values()]),
        "count": str(len(each)),
    }


def _after_start(
    want: Wanted, values: Mapping[str, str], each: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[str, ...], ...]:
    if not want.fetches or not want.engine.after_start:
        return ()
    return tuple(fill_all(want.engine.after_start, {**values, **own}) for own in each.values())


def _upstream_models(want: Wanted, values: Mapping[str, str], each: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    text = want.engine.upstream_model
    if want.shared and want.engine.shared is not None and want.engine.shared.upstream_model:
        text = want.engine.shared.upstream_model
    names = {name: fill(text, {**values, **own}) for name, own in each.items()}
    for name, upstream in names.items():
        if not upstream:
            raise ServerError(
                "MG3007",
                f"{want.engine.name} calls its model by the source, and none is given",
                ("models", name, "source"),
                f"give a source, or change `upstream_model` under engines.{want.engine.name}",
            )
    return names


def _revision(want: Wanted, at: Place) -> str:
    """Return the revision of the weights, of several models in their order; empty where none is pinned."""
    found = [at.revision(model.source) if model.source is not None else "" for model in want.models]
    return joined(found) if any(found) else ""


def _secrets(want: Wanted, at: Place) -> tuple[tuple[PodmanSecret, ...], tuple[Credential, ...], dict[str, str]]:
    """Return how secrets reach the server, and the variables that name the files of credentials in a container."""
    podman: list[PodmanSecret] = []
    credentials: list[Credential] = []
    for variable, name in sorted(want.serving.secrets.items()):
        secret = at.secrets[name]
        path = (*want.path, "secrets", variable)
        as_file = variable.endswith(_PATH_ENDS)
        if secret.podman is not None:
            if want.manager not in {Manager.QUADLET, Manager.PODMAN}:
                hint = "give the secret as a file, and name a variable that ends in _PATH or _FILE"
                if want.manager is Manager.DOCKER:
                    hint = _NOT_BY_DOCKER
                raise ServerError("MG4010", f"{name} is a secret of podman, and {want.name} has none", path, hint)
            shown = str(_SECRETS / name) if as_file else ""
            podman.append(PodmanSecret(name=secret.podman, variable=variable, path=shown))
            continue
        if want.manager is Manager.DOCKER:
            raise ServerError("MG4010", f"{name} cannot be handed to Docker's containers", path, _NOT_BY_DOCKER)
        if not as_file:
            hint = f"name a variable that takes a path, such as {variable}_PATH, or make it a secret of podman"
            raise ServerError("MG4010", f"the value of {name} would stand in the environment", path, hint)
        if want.manager is not None and at.scope is Scope.USER:
            hint = "make it a secret of podman: podman secret create"
            raise ServerError("MG4010", f"the file of {name} cannot be handed to this container", path, hint)
        source = secret.file or secret.encrypted or ""
        encrypted = secret.file is None
        credentials.append(Credential(name=name, source=source, variable=variable, encrypted=encrypted))
    variables = {secret.variable: secret.path for secret in podman if secret.path}
    if want.manager is not None:
        variables |= {item.variable: str(_SECRETS / item.name) for item in credentials}
    return tuple(podman), tuple(credentials), variables


def _program(want: Wanted, facts: HostFacts) -> tuple[str, ...]:
    engine, path = want.engine, (*want.path, "runtime")
    if engine.program:
        found = engine.program if PurePosixPath(engine.program).is_absolute() else facts.program(engine.program)
        if found is not None:
            return (found,)
    if engine.embedded and facts.embedded_llama and not want.shared:
        return (facts.python, "-P", "-m", engine.embedded)
    if not engine.program:
        raise ServerError(
            "MG4005",
            f"{engine.name} names no program to run on the host",
            path,
            f"set `program` under engines.{engine.name}, or use runtime: podman",
        )
    alternative = ", or `pip install 'modelgrid[local]'` for the embedded one" if engine.embedded else ""
    raise ServerError(
        "MG4005",
        f"the host has no program {engine.program} on its PATH",
        path,
        f"install it, set its path as `program` under engines.{engine.name}, or use runtime: podman{alternative}",
    )


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


def _devices(want: Wanted, at: Place) -> tuple[str, ...]:
    """Return what makes the GPUs usable in a container: names of CDI, or device nodes where the facts have them."""
    devices: list[str] = []
    for gpu in at.gpus:
        if gpu.node:
            devices += ["/dev/kfd"] if gpu.vendor is Vendor.AMD and "/dev/kfd" not in devices else []
            devices.append(gpu.node)
        else:
            devices.append(_cdi_name(want, gpu))
    return tuple(devices)


def _cdi_name(want: Wanted, gpu: Gpu) -> str:
    # NVIDIA's specification names a GPU by index and by UUID, AMD's by index only
    match gpu.vendor:
        case Vendor.NVIDIA:
            return f"nvidia.com/gpu={gpu.uuid}"
        case Vendor.AMD:
            return f"amd.com/gpu={gpu.index}"
        case Vendor.INTEL | Vendor.CPU:
            raise ServerError(
                "MG4006",
                f"a container gets the GPU {gpu.uuid} by its device node, and the facts of the host name none",
                (*want.path, "gpus"),
                "write the facts again with `modelgrid facts`, set gpus: 0, or use runtime: native",
            )
