"""Fields that the file has and that nothing uses: what their engine or runtime ignores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.config.schema import Runtime
from modelgrid.ir import Manager

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelgrid.compile.wanted import Wanted
    from modelgrid.config.schema import Config, Engine, Model, Server
    from modelgrid.diagnostics import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A field at *path* without effect."""

    path: Path
    message: str
    hint: str


def ignored_fields(config: Config, wants: Mapping[str, Wanted]) -> Iterator[Ignored]:
    """Yield each field of a server or engine that has no effect. An engine without servers is not looked at."""
    for want in wants.values():
        for field, message, hint in _of_server(want):
            yield Ignored(path=(*want.path, field), message=message, hint=hint)
    for name, engine in config.engines.items():
        servers = [want.serving for want in wants.values() if want.engine.name == name]
        for path, message in _of_engine(name, engine, servers) if servers else ():
            yield Ignored(path=("engines", name, *path), message=message, hint="leave it out")


def _of_server(want: Wanted) -> Iterator[tuple[str, str, str]]:
    serving, engine = want.serving, want.engine
    for option in ("context", "parallel", "idle_unload"):
        if getattr(serving, option) is not None and option not in engine.options:
            yield option, f"{option} has no effect: {engine.name} has no option for it", "put the option into `args`"
    if want.manager is None:
        for field in ("image", "volumes", "selinux", "quadlet"):
            if field in serving.model_fields_set:
                hint = "leave it out, or use runtime: podman"
                yield field, f"{field} has no effect: {want.name} runs native", hint
    elif want.manager is not Manager.QUADLET and serving.quadlet:
        yield "quadlet", f"quadlet has no effect: {want.name} has no quadlet on this host", "leave it out"
    if want.manager is Manager.DOCKER and serving.selinux.type:
        yield "selinux", "the type has no effect: Docker's containers have that of Docker's policy", "leave it out"
    if serving.port is not None and want.isolated:
        yield (
            "port",
            f"port has no effect: the container of {want.name} is reached at an address of its own",
            "leave it out, or set egress: true",
        )


def _of_engine(name: str, engine: Engine, servers: list[Model | Server]) -> Iterator[tuple[Path, str]]:
    contained = [serving for serving in servers if serving.runtime is not Runtime.NATIVE]
    for field in ("program", "native_command", "env_native"):
        if getattr(engine, field) and len(contained) == len(servers):
            yield (field,), f"{field} has no effect: no model of {name} runs native"
    if engine.image is not None and all(serving.image is not None for serving in contained):
        why = f"each model of {name} has its own" if contained else f"no model of {name} runs in a container"
        yield ("image",), f"image has no effect: {why}"
    if contained:
        return
    for field in ("port", "entrypoint", "image_program", "image_command", "volumes", "shm_size"):
        if getattr(engine, field) is not None:
            yield (field,), f"{field} has no effect: no model of {name} runs in a container"
    if engine.health is not None and engine.health.command is not None:
        yield ("health", "command"), f"command has no effect: no model of {name} runs in a container"
