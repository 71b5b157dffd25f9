"""Whether the models of a configuration are on the greenlist. Pure.

What counts is what runs. Weights that have a name of their own go by that name: that of the engine's library
(``llama3:8b`` of Ollama), or ``ORG/NAME`` of Hugging Face. All others, a file or a folder of the host, have no name but
that of the model in the configuration. Aliases are other names for what is allowed already, and do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from modelgrid.config.faults import closest
from modelgrid.config.rules import engine_of
from modelgrid.diagnostics import Diagnostic, Related, Severity
from modelgrid.errors import ConfigError
from modelgrid.models.sources import SourceKind, parse_source
from modelgrid.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelgrid.config.load import Document
    from modelgrid.config.schema import Config, Model
    from modelgrid.diagnostics import Location, Path
    from modelgrid.greenlist.rules import Rule, Rules

#: Rules that one message shows.
_MOST_RULES: Final = 3
#: Models that are compared with all of the list: each takes milliseconds.
_MOST_SUGGESTIONS: Final = 10


class Running(NamedTuple):
    """What of a model must be listed: *name*; *or_model*, the model's own name where the other is not listed."""

    name: str
    or_model: bool


def running(name: str, model: Model) -> Running | None:
    """Return what of *model*, which the configuration calls *name*, must be listed; none where it has no source."""
    if model.source is None:
        return Running(name, or_model=False)
    try:
        source = parse_source(model.source)
    except ConfigError:
        return None
    if source.kind is SourceKind.NAME:
        return Running(source.value, or_model=False)
    if source.kind is SourceKind.REPOSITORY:
        return Running(source.value, or_model=True)
    return Running(name, or_model=False)


def rule_of(name: str, model: Model, engine: str, rules: Rules) -> Rule | None:
    """Return the rule that allows *model* on *engine*, which the configuration calls *name*; none where none does."""
    what = running(name, model)
    if what is None:
        return None
    rule = rules.find(what.name, engine)
    return rules.find(name, engine) if rule is None and what.or_model else rule


def check_models(config: Config, rules: Rules, document: Document) -> Iterator[Diagnostic]:
    """Every model is on the list with its engine, and claims no less memory than the list has for it."""
    suggestions = _MOST_SUGGESTIONS
    for name, model in config.models.items():
        what, engine = running(name, model), engine_of(config, model)
        if what is None or engine is None:
            continue  # a malformed source is reported as what it is
        rule = rule_of(name, model, engine, rules)
        if rule is None:
            near = closest(what.name, rules.of_engine(engine)) if suggestions > 0 else None
            suggestions -= 1
            yield _unlisted(name, model, engine, what, rules, document, near)
            continue
        if rule.name != what.name:
            yield Diagnostic(
                code="MG3039",
                message=f"{name} is on the greenlist by its name, and what it runs, {what.name}, is not",
                path=("models", name, "source"),
                location=document.locate(("models", name, "source")),
                related=(Related(location=rules.place(rule), message="the rule"),),
                hint=f'list "{what.name}" for {engine}: the name alone says nothing of the weights',
                severity=Severity.WARNING,
            )
        if model.vram is not None and model.vram < rule.memory:
            yield Diagnostic(
                code="MG3038",
                message=f"{name} claims {format_size(model.vram)}, less than the {format_size(rule.memory)}"
                " that the greenlist has for it",
                path=("models", name, "vram"),
                location=document.locate(("models", name, "vram")),
                related=(Related(location=rules.place(rule, "minVram"), message="the rule"),),
                hint=f"claim {format_size(rule.memory)} or more",
                severity=Severity.WARNING,
            )


def _unlisted(
    name: str, model: Model, engine: str, what: Running, rules: Rules, document: Document, nearest: str | None
) -> Diagnostic:
    who = f'"{name}"' if what.name == name else f'"{name}" runs "{what.name}", which'
    elsewhere = rules.of_name(what.name)
    if not elsewhere and what.or_model and (elsewhere := rules.of_name(name)):
        who = f'"{name}"'
    if elsewhere:
        engines = " and ".join(rule.engine for rule in elsewhere[:_MOST_RULES])
        message = f"{who} is on the greenlist for {engines}, not for {engine}"
        hint = f"use {elsewhere[0].engine}, or have the model listed for {engine}"
        related = tuple(
            Related(location=rules.place(rule, "container"), message="the rule") for rule in elsewhere[:_MOST_RULES]
        )
        return _error(message, name, "engine" if model.engine else "server", document, hint, related)
    field = "source" if model.source is not None and what.name != name else None
    hint = f'did you mean "{nearest}"?' if nearest else _have_it_listed(what.name, engine)
    near = rules.find(nearest, engine) if nearest else None
    related = (Related(location=rules.place(near), message="the nearest rule" if near else "the greenlist"),)
    return _error(f"{who} is not on the greenlist", name, field, document, hint, related)


def _have_it_listed(name: str, engine: str) -> str:
    return f'have it listed: {{"name": "{name}", "container": "{engine}", "minVram": GIB}}'


def _error(
    message: str, name: str, field: str | None, document: Document, hint: str, related: tuple[Related, ...]
) -> Diagnostic:
    path: Path = ("models", name) if field is None else ("models", name, field)
    location: Location | None = document.key(path) if field is None else document.locate(path)
    return Diagnostic(code="MG3036", message=message, path=path, location=location, related=related, hint=hint)
