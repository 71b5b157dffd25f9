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
    from modelgrid.engines.builtin import TaskData, Words

_OPTIONS: Final = ("args", "context", "parallel", "gpus", "vram", "idle_unload", "task")
_COMMANDS: Final = ("command", "options", "vendors", "tasks", "shared")

#: By field of ModelServer or of its launch: the fields of the model or shared server, then those of its engine.
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "image": (("image",), ("image", "images")),
    "entrypoint": ((), ("entrypoint",)),
    "arguments": (_OPTIONS, ("image_command", *_COMMANDS)),
    "attachment": (("egress", "port", "runtime"), ("port",)),
    "mounts": (("volumes",), ()),
    "volumes": (("volumes",), ("volumes",)),
    "devices": (("gpus",), ()),
    "claims": (("vram", "gpus"), ()),
    "shm_size": ((), ("shm_size",)),
    "health": (("start_timeout",), ("health",)),
    "health_command": ((), ("health",)),
    "after_start": ((), ("after_start",)),
    "argv": (("port", *_OPTIONS), ("program", "native_command", *_COMMANDS)),
    "selinux": (("selinux",), ()),
    "podman_secrets": (("secrets",), ()),
    "credentials": (("secrets",), ()),
    "resources": (("resources",), ()),
    "on_demand": (("load",), ()),
    "on_change": (("on_change",), ()),
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
    built = want.engine
    others: tuple[Words | TaskData, ...] = (*built.options.values(), *built.vendors.values(), *built.tasks.values())
    names = {name for words in others for name in words.env} | (built.shared.env.keys() if built.shared else set())
    declared = {name: field for field in ("env", "env_native") for name in (getattr(engine, field) if engine else ())}
    for name in {*built.env, *built.env_native, *names, *want.serving.env, *want.serving.secrets}:
        if name in want.serving.env:
            yield name, (format_path((*want.path, "env", name)),)
        elif name in want.serving.secrets:
            yield name, (format_path((*want.path, "secrets", name)),)
        elif name in declared:
            yield name, (format_path(("engines", want.engine.name, declared[name], name)),)
        else:
            given = [option for option, words in want.engine.options.items() if name in words.env]
            paths = tuple(format_path((*want.path, field)) for field in _given(want.serving, tuple(given)))
            yield name, paths or (builtin,)


def _given(section: BaseModel, fields: tuple[str, ...]) -> list[str]:
    return [field for field in fields if field in section.model_fields_set]
