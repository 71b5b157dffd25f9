"""Fields that the file has and that nothing uses: what their engine or runtime ignores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.config.schema import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelgrid.compile.servers import Wanted
    from modelgrid.config.schema import Config, Engine, Model
    from modelgrid.diagnostics import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A field at *path* without effect."""

    path: Path
    message: str
    hint: str


def ignored_fields(config: Config, wants: Mapping[str, Wanted]) -> Iterator[Ignored]:
    """Yield each field of a model or engine that has no effect. An engine without models is not looked at."""
    for name, want in wants.items():
        for field, message, hint in _of_model(want):
            yield Ignored(path=("models", name, field), message=message, hint=hint)
    for name, engine in config.engines.items():
        models = [model for model in config.models.values() if model.engine == name]
        for path, message in _of_engine(name, engine, models) if models else ():
            yield Ignored(path=("engines", name, *path), message=message, hint="leave it out")


def _of_model(want: Wanted) -> Iterator[tuple[str, str, str]]:
    model, engine = want.model, want.engine
    for option in ("context", "parallel"):
        if getattr(model, option) is not None and option not in engine.options:
            yield option, f"{option} has no effect: {engine.name} has no option for it", "put the option into `args`"
    if model.image is not None and model.runtime is Runtime.NATIVE:
        yield "image", f"image has no effect: {want.name} runs native", "leave it out, or use runtime: podman"
    if model.port is not None and want.isolated:
        yield (
            "port",
            f"port has no effect: the container of {want.name} is reached at an address of its own",
            "leave it out, or set egress: true",
        )


def _of_engine(name: str, engine: Engine, models: list[Model]) -> Iterator[tuple[Path, str]]:
    contained = [model for model in models if model.runtime is Runtime.PODMAN]
    if engine.program is not None and len(contained) == len(models):
        yield ("program",), f"program has no effect: no model of {name} runs native"
    if engine.image is not None and all(model.image is not None for model in contained):
        why = f"each model of {name} has its own" if contained else f"no model of {name} runs in podman"
        yield ("image",), f"image has no effect: {why}"
    if contained:
        return
    for field in ("port", "entrypoint"):
        if getattr(engine, field) is not None:
            yield (field,), f"{field} has no effect: no model of {name} runs in podman"
    if engine.health is not None and engine.health.command is not None:
        yield ("health", "command"), f"command has no effect: no model of {name} runs in podman"
