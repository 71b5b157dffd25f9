"""Whether an engine takes a model's source and serves its task: one rule, which ``check`` and ``compile`` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from modelgrid.models.sources import SourceKind, parse_source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from modelgrid.config.schema import Model
    from modelgrid.models.sources import Source


class Abilities(Protocol):
    """What an engine can do, by the words of the engine catalogue."""

    @property
    def sources(self) -> Collection[str]:
        """Kinds of ``source`` that it takes; ``none``: it can do without."""

    @property
    def tasks(self) -> Collection[str]:
        """Tasks that it serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """What the engine cannot do. *field* of the model asks for it."""

    code: str
    message: str
    field: str
    hint: str


#: How a user writes each kind of source.
_WRITTEN: Final = {
    SourceKind.PATH.value: "a path",
    SourceKind.REPOSITORY.value: "hf://ORG/NAME",
    SourceKind.PACKAGE.value: "package://NAME",
    SourceKind.NAME.value: "a name of its own library",
}


def source_of(name: str, model: Model, engine: Abilities) -> Source | None:
    """Return where the weights of *model* come from; none where no source is given.

    An engine with a library of its own knows the model by the name that clients use, where the file says no other.

    Raises:
        ConfigError: the source is malformed.
    """
    if model.source is not None:
        return parse_source(model.source)
    return parse_source(name) if "name" in engine.sources and "none" not in engine.sources else None


def misfits(model: Model, source: Source | None, engine: Abilities, *, name: str) -> Iterator[Misfit]:
    """Yield what *engine* cannot do of that which *model* asks for.

    *source*: what :func:`source_of` says; *name*: the engine's.
    """
    wanted = " or ".join(text for kind, text in _WRITTEN.items() if kind in engine.sources)
    if source is None and "none" not in engine.sources:
        yield Misfit(code="MG3007", message=f"{name} needs a source", field="source", hint=f"give {wanted}")
    elif source is not None and source.kind.value not in engine.sources:
        hint = f"give {wanted}"
        if source.kind is SourceKind.NAME and SourceKind.PATH.value in engine.sources:
            hint += "; a path starts with / or ./"
        yield Misfit(
            code="MG3019",
            message=f"{name} does not take {_WRITTEN[source.kind.value]} as source",
            field="source",
            hint=hint,
        )
    if model.task.value not in engine.tasks:
        yield Misfit(
            code="MG3019",
            message=f"{name} does not serve {model.task.value}",
            field="task",
            hint=f"it serves {', '.join(sorted(engine.tasks))}: use another engine",
        )
