"""Which paths of the configuration each part of a server comes from, for messages and for `explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modelgrid.diagnostics import format_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from modelgrid.compile.wanted import Wanted
    from modelgrid.config.schema import Config

#: By field of ModelServer or of its launch: the fields of the model or shared server, then those of its engine.
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "image": (("image",), ("image", "images")),
    "entrypoint": ((), ("entrypoint",)),
    "arguments": (("args", "context", "parallel", "gpus", "vram", "idle_unload"), ("command", "options", "tasks")),
    "environment": (("env", "context", "parallel", "idle_unload", "secrets"), ("env", "env_native", "options")),
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


def origins_of(want: Wanted, config: Config) -> Mapping[str, tuple[str, ...]]:
    """Return the paths, like ``$.models["llama3:8b"].context``, by field; only those that the file has."""
    engine = config.engines.get(want.engine.name)
    found: dict[str, tuple[str, ...]] = {}
    for field, (own, of_engine) in _FIELDS.items():
        paths = [format_path((*want.path, name)) for name in _given(want.serving, own)]
        if engine is not None:
            paths += [format_path(("engines", want.engine.name, name)) for name in _given(engine, of_engine)]
        if field in {"mounts", "arguments", "argv", "environment"}:
            paths += [format_path((*model.path, "source")) for model in want.models if model.fields.source]
        if paths:
            found[field] = tuple(paths)
    return found


def _given(section: BaseModel, fields: tuple[str, ...]) -> list[str]:
    return [field for field in fields if field in section.model_fields_set]
