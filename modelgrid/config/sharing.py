"""Rules of what models refer to: their server, the models that stand in for them, and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modelgrid.config.faults import Fault, suggestion, unused
from modelgrid.config.rules import servings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from modelgrid.config.schema import Config

#: What a model on a shared server says of itself. All else is the server's.
_OF_THE_MODEL: Final = frozenset({"server", "task", "source", "vram", "aliases", "fallback"})
_ONE_OF: Final = ("podman", "file", "encrypted")


def check_servers(config: Config, *, declared: Collection[str]) -> Iterator[Fault]:
    """Every server that a model names exists and says how it runs. *declared*: all servers of the file."""
    for name, model in config.models.items():
        path = ("models", name)
        if model.server is None:
            continue
        if model.server not in declared:
            hint = suggestion(model.server, declared) or "declare it under `servers`"
            message = f'there is no server "{model.server}"'
            yield Fault(code="MG3020", message=message, path=(*path, "server"), hint=hint)
        for field in sorted(model.model_fields_set - _OF_THE_MODEL):
            hint = f"write it under servers.{model.server}"
            message = f"{field} is said by the server of the model"
            yield Fault(code="MG3022", message=message, path=(*path, field), hint=hint, at_key=True)


def check_serving(config: Config) -> Iterator[Fault]:
    """Every model has an engine or a server, a shared server has models, a secret a place and somebody who gets it."""
    for name, model in config.models.items():
        if model.server is None and model.engine is None:
            hint = "say `engine: NAME` for a server of its own, or `server: NAME` for one under `servers`"
            message = "the model names neither an engine nor a server"
            yield Fault(code="MG3021", message=message, path=("models", name), hint=hint)
    used = {model.server for model in config.models.values()}
    for name in config.servers:
        if name not in used:
            yield unused(("servers", name), f"no model uses the server {name}")
    secrets = {name for _, _, serving in servings(config) for name in serving.secrets.values()}
    for name, secret in config.secrets.items():
        if all(getattr(secret, field) is None for field in _ONE_OF):
            message, hint = "the secret is nowhere", f"give one of {', '.join(_ONE_OF)}"
            yield Fault(code="MG3026", message=message, path=("secrets", name), hint=hint, at_key=True)
        if name not in secrets:
            yield unused(("secrets", name), f"nothing uses the secret {name}")


def check_fallbacks(config: Config, *, declared: Collection[str]) -> Iterator[Fault]:
    """A model that stands in for another exists, and serves the same. *declared*: all models of the file."""
    for name, model in config.models.items():
        for index, other in enumerate(model.fallback):
            path = ("models", name, "fallback", index)
            if other == name:
                message, hint = f"{name} is its own fallback", "remove it"
            elif other in model.fallback[:index]:
                message, hint = f"{other} is in the list already", "remove it"
            elif other not in declared:
                message = f'there is no model "{other}"'
                hint = suggestion(other, declared) or "name a model of this file, not an alias"
            elif other in config.models and config.models[other].task is not model.task:
                message = f"{other} is for {config.models[other].task.value}, and {name} for {model.task.value}"
                hint = "name a model with the same task"
            else:
                continue
            yield Fault(code="MG3024", message=message, path=path, hint=hint)


def check_secrets(config: Config, *, declared: Collection[str]) -> Iterator[Fault]:
    """Every secret that is used is declared, and is in one place at most. *declared*: all secrets of the file."""
    for name, secret in config.secrets.items():
        given = [field for field in _ONE_OF if getattr(secret, field) is not None]
        if len(given) > 1:
            message, hint = f"the secret is in {' and '.join(given)}", f"give one of {', '.join(_ONE_OF)}"
            yield Fault(code="MG3026", message=message, path=("secrets", name), hint=hint, at_key=True)
    for section, owner, serving in servings(config):
        for variable, name in serving.secrets.items():
            path = (section, owner, "secrets", variable)
            if name not in declared:
                hint = suggestion(name, declared) or "declare it under `secrets`"
                yield Fault(code="MG3025", message=f'there is no secret "{name}"', path=path, hint=hint)
            if variable in serving.env:
                message = f"{variable} is in `env` as well"
                yield Fault(code="MG3025", message=message, path=path, hint="remove one of the two")
