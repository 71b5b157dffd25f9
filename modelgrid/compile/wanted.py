"""Which servers a configuration asks for: each model or shared server paired with its engine, before it has a place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from modelgrid.config.fit import misfits, source_of
from modelgrid.config.schema import Runtime
from modelgrid.errors import ConfigError
from modelgrid.ir import QUADLET_SINCE, Manager, Scope
from modelgrid.models.sources import SourceKind

if TYPE_CHECKING:
    from modelgrid.config.schema import Model, Server
    from modelgrid.diagnostics import Path
    from modelgrid.engines.builtin import Engine
    from modelgrid.host.facts import HostFacts
    from modelgrid.models.sources import Source


class ServerError(Exception):
    """This server cannot be built so. The value at *path* of the configuration is at fault."""

    def __init__(self, code: str, message: str, path: Path, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The host of *facts*. *foreign*: it is, or may be, another than the one that compiles."""

    facts: HostFacts
    scope: Scope
    foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedModel:
    """A model that a server shall serve. *slug*: its name as file names allow it."""

    name: str
    slug: str
    fields: Model
    source: Source | None

    @property
    def path(self) -> Path:
        """Where it stands in the configuration."""
        return ("models", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A server with its engine and models.

    Attributes:
        name: that of its one model, or of the shared server.
        serving: the fields that say how it runs: of the model, or of the shared server.
        path: where those stand in the configuration.
        shared: whether several models can be on it.
        manager: who makes its container; none for a program of the host.
        fetches: whether the server gets weights from the network itself.
        isolated: whether its container is on the internal network.
    """

    name: str
    slug: str
    serving: Model | Server
    path: Path
    engine: Engine
    models: tuple[WantedModel, ...]
    shared: bool
    manager: Manager | None
    fetches: bool
    isolated: bool

    @property
    def source(self) -> Source | None:
        """The source of its one model; none where several share it."""
        return None if self.shared else self.models[0].source


def wanted_model(name: str, slug: str, model: Model, engine: Engine, target: Target) -> WantedModel:
    """Pair *model* with the *engine* of its server.

    Raises:
        ServerError: the engine does not take such a source or task, or the target cannot see the source.
    """
    path = ("models", name)
    try:
        source = source_of(name, model, engine)
    except ConfigError as error:
        raise ServerError("MG3018", error.message, (*path, "source"), error.hint or "") from error
    for misfit in misfits(model, source, engine, name=engine.name):
        raise ServerError(misfit.code, misfit.message, (*path, misfit.field), misfit.hint)
    if target.foreign and source is not None and source.kind is SourceKind.PATH:
        place = PureWindowsPath(source.value) if target.facts.system == "windows" else PurePosixPath(source.value)
        if not place.is_absolute():
            raise ServerError(
                "MG4008",
                f"the source {source.value} is relative to this configuration, and the target is another host",
                (*path, "source"),
                "write the absolute path on that host",
            )
    return WantedModel(name=name, slug=slug, fields=model, source=source)


def wanted_server(
    name: str,
    slug: str,
    serving: Model | Server,
    engine: Engine,
    models: tuple[WantedModel, ...],
    target: Target,
    *,
    shared: bool,
) -> Wanted:
    """Say how *models* are served by *engine* as *serving* has it.

    Raises:
        ServerError: the target cannot keep what it asks for.
    """
    path: Path = ("servers" if shared else "models", name)
    manager = _manager(serving.runtime, path, target)
    if shared:
        _check_shared(name, engine, manager, path)
        _check_tasks(models, engine)
    fetches = any(model.source is not None and model.source.kind.value in engine.fetches for model in models)
    egress = fetches if serving.egress is None else serving.egress
    if serving.egress is False and target.scope is Scope.USER:
        # a rootless container reaches the host over podman's default network alone, and the service manager of a
        # user may not attach the filter that closes a native server
        raise ServerError(
            "MG4006",
            "egress: false cannot be kept by units of a user",
            (*path, "egress"),
            "leave egress out, or use the system's units: leave out --user",
        )
    return Wanted(
        name=name,
        slug=slug,
        serving=serving,
        path=path,
        engine=engine,
        models=models,
        shared=shared,
        manager=manager,
        fetches=fetches,
        isolated=target.scope is Scope.SYSTEM and manager is not None and not egress,
    )


def _manager(runtime: Runtime, path: Path, target: Target) -> Manager | None:
    facts = target.facts
    needed = target.foreign or facts.system == "linux"
    match runtime:
        case Runtime.NATIVE:
            return None
        case Runtime.DOCKER:
            if target.scope is Scope.USER:
                raise ServerError(
                    "MG4006",
                    "Docker's containers are the system's, not a user's",
                    (*path, "runtime"),
                    "use runtime: podman, or the system's units: leave out --user",
                )
            if needed and facts.program("docker") is None:
                hint = "install Docker there, or use runtime: podman"
                raise ServerError("MG4005", "the host has no Docker", (*path, "runtime"), hint)
            return Manager.DOCKER
        case Runtime.PODMAN:
            if needed and facts.podman is None:
                hint = "install podman there, or use runtime: native"
                raise ServerError("MG4005", "the host has no podman", (*path, "runtime"), hint)
            return Manager.PODMAN if facts.podman is not None and facts.podman < QUADLET_SINCE else Manager.QUADLET


def _check_tasks(models: tuple[WantedModel, ...], engine: Engine) -> None:
    """See that the words of one model's task are not said to a server of models with another."""
    first = engine.tasks[models[0].fields.task.value]
    for model in models[1:]:
        words = engine.tasks[model.fields.task.value]
        if (words.command, words.env) != (first.command, first.env):
            raise ServerError(
                "MG3019",
                f"one server of {engine.name} is for {models[0].fields.task.value} or for"
                f" {model.fields.task.value}, not for both",
                (*model.path, "task"),
                "give the model another server",
            )


def _check_shared(name: str, engine: Engine, manager: Manager | None, path: Path) -> None:
    if engine.shared is None:
        raise ServerError(
            "MG3023",
            f"{engine.name} serves one model for each server",
            (*path, "engine"),
            f"give each model of {name} a server of its own: engine: {engine.name}",
        )
    if engine.shared.folder and manager is None:
        raise ServerError(
            "MG4006",
            f"{engine.name} finds the weights of several models in one folder, which only a container can have",
            (*path, "runtime"),
            "use runtime: podman, or give each model a server of its own",
        )
