"""The engine of a model: the built-in one with what the configuration changes, words filled in."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from modelgrid.engines.builtin import CUSTOM, Engine, HealthData, TaskData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelgrid.config import schema

_PLACEHOLDER = re.compile(r"\{(model|source|host|port|state|program|slug|value)\}")


def resolve_engines(builtin: Mapping[str, Engine], declared: Mapping[str, schema.Engine]) -> dict[str, Engine]:
    """Return all engines that models may name: the built-in ones as *declared* changes them, and new ones."""
    engines = dict(builtin)
    for name, change in declared.items():
        base = builtin.get(name) or replace(builtin[CUSTOM], name=name)
        engines[name] = _changed(base, change)
    return engines


def _changed(engine: Engine, change: schema.Engine) -> Engine:
    changed = engine
    if change.image is not None:
        # the user's image takes the place of the vendor's, whatever the vendor
        changed = replace(changed, images=dict.fromkeys(("cpu", "nvidia", "amd", "intel"), change.image))
    if change.entrypoint is not None:
        changed = replace(changed, entrypoint=change.entrypoint)
    if change.program is not None:
        changed = replace(changed, program=change.program, embedded="")
    if change.port is not None:
        changed = replace(changed, port=change.port)
    if change.command is not None:
        changed = replace(changed, command=tuple(change.command), native_command=())
    if change.env:
        changed = replace(changed, environment={**changed.environment, **change.env})
    if change.health is not None:
        changed = replace(changed, health=_health(changed.health, change.health))
    if change.upstream_model is not None:
        changed = replace(changed, upstream_model=change.upstream_model)
    if change.apis is not None:
        tasks = {name: TaskData(command=task.command, apis=tuple(change.apis)) for name, task in changed.tasks.items()}
        changed = replace(changed, tasks=tasks)
    return changed


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
