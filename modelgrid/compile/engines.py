"""The engine of a model: the built-in one with what the configuration changes, words filled in."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelgrid.engines.builtin import CUSTOM, Engine, HealthData, Shared, TaskData, VolumeData, Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelgrid.config import schema

_PLACEHOLDER = re.compile(r"\{(model|source|host|port|state|program|slug|value|models|sources|count)\}")


def resolve_engines(builtin: Mapping[str, Engine], declared: Mapping[str, schema.Engine]) -> dict[str, Engine]:
    """Return all engines that models may name: the built-in ones as *declared* changes them, and new ones."""
    engines = dict(builtin)
    for name, change in declared.items():
        base = builtin.get(name) or replace(builtin[change.extends or CUSTOM], name=name, base=change.extends or CUSTOM)
        engines[name] = _changed(base, change)
    return engines


#: Fields of an engine that a configuration replaces as they are, and those whose entries it adds.
_REPLACED = ("entrypoint", "program", "image_program", "port", "upstream_model", "shm_size")
_LISTS = ("command", "native_command", "sources", "fetches", "after_start")


def _changed(engine: Engine, change: schema.Engine) -> Engine:
    new: dict[str, Any] = {name: value for name in _REPLACED if (value := getattr(change, name)) is not None}
    new |= {name: tuple(value) for name in _LISTS if (value := getattr(change, name)) is not None}
    if change.image is not None:
        # the user's image takes the place of the vendor's, whatever the vendor
        new["images"] = dict.fromkeys(("cpu", "nvidia", "amd", "intel"), change.image)
    # one for a vendor takes the place of all that the engine has for its processors
    kept = {name: image for name, image in engine.images.items() if name.partition("-")[0] not in change.images}
    new["images"] = {**new.get("images", kept), **change.images}
    if change.program is not None:
        new["embedded"] = ""
    if change.command is not None:
        # words of the engine's around another command would have no meaning
        new |= {"image_command": (), "native_command": tuple(change.native_command or ()), "shared": None}
    if change.image_command is not None:
        new["image_command"] = tuple(change.image_command)
    if change.shared is not None:
        new["shared"] = _shared(change.shared)
    new["env"] = {**engine.env, **change.env}
    new["env_native"] = {**engine.env_native, **change.env_native}
    new["options"] = {**engine.options, **{name: _words(words) for name, words in change.options.items()}}
    new["vendors"] = {**engine.vendors, **{name: _words(words) for name, words in change.vendors.items()}}
    tasks = {
        task.value: TaskData(command=tuple(words.command), env=words.env, apis=tuple(words.apis))
        for task, words in change.tasks.items()
    }
    new["tasks"] = {**engine.tasks, **tasks}
    if change.apis is not None:
        new["tasks"] = {name: replace(task, apis=tuple(change.apis)) for name, task in new["tasks"].items()}
    if change.health is not None:
        new["health"] = _health(engine.health, change.health)
    if change.volumes is not None:
        new["volumes"] = tuple(VolumeData(name=item.name, target=item.target) for item in change.volumes)
    return replace(engine, **new)


def _shared(shared: schema.SharedServer) -> Shared:
    return Shared(
        command=tuple(shared.command),
        env=shared.env,
        upstream_model=shared.upstream_model or "",
        folder=shared.folder,
    )


def _words(words: schema.Words) -> Words:
    return Words(command=tuple(words.command), env=words.env)


def _health(health: HealthData, change: schema.Health) -> HealthData:
    path = change.path or health.path
    # a path of the user's makes the built-in command wrong: it asks for the old path
    command = health.command if change.path is None else ""
    return HealthData(path=path, command=change.command or command)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders of *text* that *values* has; other braces stay as they are."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def fill_all(texts: Iterable[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Fill each of *texts*."""
    return tuple(fill(text, values) for text in texts)


def extra_arguments(args: Mapping[str, object] | list[str]) -> tuple[str, ...]:
    """Write a model's ``args`` as words.

    A list is given as it is. In a mapping ``name: value`` becomes ``--name value``, ``name: true`` the flag
    alone, ``name: false`` nothing, and a list of values the option once for each.
    """
    if isinstance(args, list):
        return tuple(args)
    words: list[str] = []
    for name, value in args.items():
        option = name if name.startswith("-") else f"--{name}"
        for item in value if isinstance(value, list) else [value]:
            if item is True:
                words.append(option)
            elif item is not False:
                words += [option, str(item)]
    return tuple(words)
