"""A server's arguments and environment: the engine's words, those of its options and task, and the model's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.compile.engines import extra_arguments, fill, fill_all
from modelgrid.engines.builtin import Words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.compile.wanted import Wanted
    from modelgrid.host.facts import Gpu

#: Between the names of several models in one text (Infinity's INFINITY_MODEL_ID has it so).
_JOIN = ";"


def options_of(want: Wanted, gpus: Sequence[Gpu], share: int | None, revision: str) -> dict[str, str]:
    """Return what the configuration says that engines have options for, as text.

    *share*: hundredths of the memory of each of *gpus* that the engine may take, none where it takes no share;
    *revision*: of the weights' repository, empty where it is not known.
    """
    serving = want.serving
    options: dict[str, str] = {}
    if serving.context is not None:
        options["context"] = str(serving.context)
    if serving.parallel is not None:
        options["parallel"] = str(serving.parallel)
    if serving.idle_unload is not None:
        options["idle_unload"] = str(max(1, round(serving.idle_unload)))
    if revision:
        options["revision"] = revision
    if gpus:
        options["gpus"] = str(len(gpus))
    if len(gpus) > 1:
        options["tensor_parallel"] = str(len(gpus))
    if share is not None:
        options["memory_share"] = f"{share / 100:.2f}"
    return options


def arguments(want: Wanted, options: Mapping[str, str], vendor: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the arguments, in the order: the server's, the task's, the vendor's, the options', the model's own."""
    engine = want.engine
    command = engine.command
    words: list[str] = []
    if want.shared and engine.shared is not None and engine.shared.command:
        command = engine.shared.command
    words += fill_all(command, values)
    for task in dict.fromkeys(model.fields.task.value for model in want.models):
        words += fill_all(engine.tasks[task].command, values)
    words += fill_all(engine.vendors.get(vendor, Words()).command, values)
    for option, value in options.items():
        words += fill_all(engine.options.get(option, Words()).command, {**values, "value": value})
    return (*words, *extra_arguments(want.serving.args))


def environment(
    want: Wanted, options: Mapping[str, str], vendor: str, values: Mapping[str, str], *, native: bool
) -> tuple[tuple[str, str], ...]:
    """Return the variables, sorted by name; of one given twice, the more special wins."""
    engine = want.engine
    texts = {**engine.env, **(engine.env_native if native else {})}
    if want.shared and engine.shared is not None:
        texts |= engine.shared.env
    for task in dict.fromkeys(model.fields.task.value for model in want.models):
        texts |= engine.tasks[task].env
    texts |= engine.vendors.get(vendor, Words()).env
    found = {name: fill(text, values) for name, text in texts.items()}
    for option, value in options.items():
        added = engine.options.get(option, Words()).env
        found |= {name: fill(text, {**values, "value": value}) for name, text in added.items()}
    return tuple(sorted((found | want.serving.env).items()))


def joined(texts: Sequence[str]) -> str:
    """Write several names or sources as one text."""
    return _JOIN.join(texts)
