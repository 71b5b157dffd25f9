"""What a configuration wants locked, and what a lock means for it. Pure: the lock was read before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelgrid.compile.engines import resolve_engines
from modelgrid.config.faults import Fault
from modelgrid.config.fit import source_of
from modelgrid.config.rules import engine_of, servings
from modelgrid.config.schema import Runtime
from modelgrid.errors import ConfigError
from modelgrid.ir import Container
from modelgrid.lock.values import model_key
from modelgrid.models.sources import SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelgrid.config.schema import Config, Model, Server
    from modelgrid.diagnostics import Path
    from modelgrid.engines.builtin import Engine
    from modelgrid.ir import Deployment, ModelServer
    from modelgrid.lock.values import Lock
    from modelgrid.models.sources import Source

#: The engine whose own names are those of Ollama's library. What other engines do with a name is not known.
_OLLAMA = "ollama"

_LOCK_HINT = "run `modelgrid lock`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What of a configuration can be locked, each with the first place that names it.

    Attributes:
        images: by reference.
        models: by their keys in a lock.
        sources: the same models.
        names: keys of the weights of each model of the configuration that has some.
    """

    images: Mapping[str, Path] = field(default_factory=dict)
    models: Mapping[str, Path] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def lockable(config: Config, builtin: Mapping[str, Engine]) -> Wants:
    """Return what of *config* can be locked, whatever the host.

    That is every image that a model may run in, for each vendor of GPU that its engine has one for: a lock does not
    depend on the host that wrote it. Images of this host (``localhost/``) have no registry, and weights in Python
    packages carry a hash of their own.
    """
    engines = resolve_engines(builtin, config.engines)
    images: dict[str, Path] = {}
    models: dict[str, Path] = {}
    sources: dict[str, Source] = {}
    names: dict[str, str] = {}
    for section, name, serving in servings(config):
        engine = engines.get(serving.engine or "")
        if engine is not None and serving.runtime is not Runtime.NATIVE:
            for reference, path in _images((section, name), serving, engine, config):
                images.setdefault(reference, path)
    for name, model in config.models.items():
        engine = engines.get(engine_of(config, model) or "")
        if engine is None:
            continue
        source = _source(name, model, engine)
        if source is not None:
            key = names[name] = model_key(source)
            sources[key] = source
            models.setdefault(key, ("models", name, "source"))
    return Wants(images=images, models=models, sources=sources, names=names)


def _images(
    place: tuple[str, str], serving: Model | Server, engine: Engine, config: Config
) -> Iterator[tuple[str, Path]]:
    if serving.image is not None:
        found: dict[str, Path] = {serving.image: (*place, "image")}
    else:
        found = dict.fromkeys(engine.images.values(), (*place, "engine"))
        declared = config.engines.get(engine.name)
        if declared is not None and declared.image is not None:
            found[declared.image] = ("engines", engine.name, "image")
        for vendor, reference in (declared.images if declared is not None else {}).items():
            found[reference] = ("engines", engine.name, "images", vendor)
    for reference, path in found.items():
        if not reference.startswith("localhost/"):
            yield reference, path


def _source(name: str, model: Model, engine: Engine) -> Source | None:
    try:
        source = source_of(name, model, engine)
    except ConfigError:
        return None  # `check` reports it
    if source is None or source.kind is SourceKind.PACKAGE:
        return None
    return None if source.kind is SourceKind.NAME and engine.name != _OLLAMA else source


def missing(wants: Wants, lock: Lock, *, warning: bool = False, paths: bool = True) -> Iterator[Fault]:
    """Yield what of *wants* the *lock* does not have, as errors or as warnings.

    *paths*: whether files of the host count too; one person's machine may not have another host's.
    """
    for reference, path in wants.images.items():
        if lock.image(reference) is None:
            yield _missing_image(reference, path, wants, lock, warning=warning)
    for key, path in wants.models.items():
        if key not in lock.models and (paths or wants.sources[key].kind is not SourceKind.PATH):
            yield Fault(
                code="MG3040", message=f"{key} is not in the lock file", path=path, hint=_LOCK_HINT, warning=warning
            )


def _missing_image(reference: str, path: Path, wants: Wants, lock: Lock, *, warning: bool) -> Fault:
    others = [name for name in sorted(lock.images) if _repository(name) == _repository(reference)]
    stale = next((name for name in others if name not in wants.images), None)
    if stale is not None:
        message = f"{reference} is not in the lock file, which has {stale}"
        return Fault(code="MG3041", message=message, path=path, hint=_LOCK_HINT, warning=warning)
    message = f"{reference} is not in the lock file"
    return Fault(code="MG3040", message=message, path=path, hint=_LOCK_HINT, warning=warning)


def _repository(reference: str) -> str:
    folder, _, last = reference.partition("@")[0].rpartition("/")
    return f"{folder}/{last.partition(':')[0]}"


def unused(wants: Wants, lock: Lock) -> tuple[tuple[str, str], ...]:
    """Return what *lock* has and *wants* does not: (``images`` or ``models``, name), sorted."""
    images = [("images", name) for name in sorted(lock.images.keys() - wants.images.keys())]
    return (*images, *(("models", name) for name in sorted(lock.models.keys() - wants.models.keys())))


def apply_lock(deployment: Deployment, lock: Lock, *, machine: str) -> tuple[Deployment, tuple[Fault, ...]]:
    """Return *deployment* with every image that is pulled pinned as *lock* has it, for a host of *machine* (uname -m).

    Each gets the size that it is pulled with, where the lock knows.

    What the lock does not have stays as it is: :func:`missing` says so. An image that the lock has for other
    architectures alone is a fault.
    """
    faults: list[Fault] = []
    servers = tuple(_pinned(server, lock, machine, faults) for server in deployment.servers)
    return replace(deployment, servers=servers), tuple(faults)


def _pinned(server: ModelServer, lock: Lock, machine: str, faults: list[Fault]) -> ModelServer:
    launch = server.launch
    if not isinstance(launch, Container) or not launch.pull:
        return server
    if lock.lacks(launch.image, machine):
        locked = lock.image(launch.image)
        known = ", ".join(sorted(locked.architectures)) if locked is not None else ""
        faults.append(
            Fault(
                code="MG3043",
                message=f"{launch.image} is locked for {known}, and the host is {machine}",
                path=("models", server.models[0], "engine"),
                hint="choose an image for that host",
            )
        )
    size = lock.pull_size(launch.image, machine) or 0
    return replace(server, launch=replace(launch, image=lock.pin(launch.image), pull_size=size))
