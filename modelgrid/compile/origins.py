"""Which paths of the configuration each part of a server comes from, for messages and for `explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modelgrid.diagnostics import format_path
from modelgrid.engines.builtin import CUSTOM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

    from modelgrid.compile.wanted import Wanted
    from modelgrid.config.schema import Config, Engine

#: By field of ModelServer or of its launch: the fields of the model or shared server, then those of its engine.
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "image": (("image",), ("image", "images")),
    "entrypoint": ((), ("entrypoint",)),
    "arguments": (("args", "context", "parallel", "gpus", "vram", "idle_unload"), ("command", "options", "tasks")),
    "attachment": (("egress", "port", "runtime"), ("port",)),
    "mounts": (("volumes",), ()),
    "volumes": (("volumes",), ("volumes",)),
    "devices": (("gpus",), ()),
    "claims": (("vram", "gpus"), ()),
    "shm_size": ((), ("shm_size",)),
    "health": (("start_timeout",), ("health",)),
    "health_command": ((), ("health",)),
    "after_start": ((), ("after_start",)),
    "argv": (("args", "context", "parallel", "port"), ("program", "native_command", "command", "options", "tasks")),
    "selinux": (("selinux",), ()),
    "podman_secrets": (("secrets",), ()),
    "credentials": (("secrets",), ()),
    "resources": (("resources",), ()),
    "on_demand": (("load",), ()),
    "quadlet": (("quadlet",), ()),
    "systemd": (("systemd",), ()),
}


#: Fields that the source of the weights has a part in.
_WITH_SOURCE: Final = frozenset({"mounts", "arguments", "argv"})


def origins_of(want: Wanted, config: Config) -> Mapping[str, tuple[str, ...]]:
    """Return the paths, like ``$.models["llama3:8b"].context``, by field; for variables by ``environment.NAME``.

    What the file does not say comes from the engine, and has words for it in place of a path.
    """
    engine = config.engines.get(want.engine.name)
    builtin = f"engine {engine.extends or CUSTOM if engine is not None else want.engine.name} (built in)"
    found = {f"environment.{name}": paths for name, paths in _variables(want, engine, builtin)}
    for field, (own, of_engine) in _FIELDS.items():
        paths = [format_path((*want.path, name)) for name in _given(want.serving, own)]
        if engine is not None:
            paths += [format_path(("engines", want.engine.name, name)) for name in _given(engine, of_engine)]
        if field in _WITH_SOURCE:
            paths += [format_path((*model.path, "source")) for model in want.models if model.fields.source]
        if paths or of_engine:
            found[field] = tuple(paths) or (builtin,)
    return found


def _variables(want: Wanted, engine: Engine | None, builtin: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    options = {name for words in want.engine.options.values() for name in words.env}
    declared = {*engine.env, *engine.env_native} if engine is not None else set()
    for name in {*want.engine.env, *want.engine.env_native, *options, *want.serving.env, *want.serving.secrets}:
        if name in want.serving.env:
            yield name, (format_path((*want.path, "env", name)),)
        elif name in want.serving.secrets:
            yield name, (format_path((*want.path, "secrets", name)),)
        elif name in declared:
            yield name, (format_path(("engines", want.engine.name, "env", name)),)
        else:
            given = [option for option, words in want.engine.options.items() if name in words.env]
            paths = tuple(format_path((*want.path, field)) for field in _given(want.serving, tuple(given)))
            yield name, paths or (builtin,)


def _given(section: BaseModel, fields: tuple[str, ...]) -> list[str]:
    return [field for field in fields if field in section.model_fields_set]
