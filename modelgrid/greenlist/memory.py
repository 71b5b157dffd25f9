"""Whether a host has the GPU memory that the greenlist asks for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modelgrid.config.rules import engine_of, serving_of
from modelgrid.diagnostics import Diagnostic, Related
from modelgrid.greenlist.models import rule_of
from modelgrid.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from modelgrid.config.load import Document
    from modelgrid.config.schema import Config, Model, Server
    from modelgrid.greenlist.rules import Rules
    from modelgrid.host.facts import Gpu

#: Cards keep a little of their memory for themselves: one sold with 24 GB says 23.99 GiB.
_NEARLY: Final = 0.97


def gpu_memory(config: Config, gpus: Iterable[Gpu]) -> dict[str, int]:
    """Return the bytes of GPU memory that each model of *config* could get at most on a host with *gpus*.

    That is the whole memory of the GPUs that it names, or of as many of the largest as it asks for. It is what is
    known where there is no placement; with one, give :func:`check_memory` the GPUs that each model really got.
    """
    largest_first = sorted(gpus, key=lambda gpu: -gpu.memory)
    return {
        name: sum(gpu.memory for gpu in _gpus(serving_of(config, model), largest_first))
        for name, model in config.models.items()
    }


def _gpus(model: Model | Server, largest_first: list[Gpu]) -> list[Gpu]:
    if isinstance(model.gpus, list):
        return [gpu for gpu in largest_first if gpu.index in model.gpus or gpu.uuid in model.gpus]
    return largest_first[: 1 if model.gpus is None else model.gpus]


def check_memory(
    config: Config, rules: Rules, document: Document, *, memory: Mapping[str, int]
) -> Iterator[Diagnostic]:
    """Every model gets the GPU memory that its rule asks for.

    Args:
        config: models that :func:`check_models` found on the list; others are passed over.
        rules: the greenlist.
        document: the text of *config*.
        memory: bytes of all the GPUs that a model gets, by model; a model that is not there is not judged.
    """
    for name, model in config.models.items():
        rule = rule_of(name, model, engine_of(config, model) or "", rules)
        if rule is None or name not in memory or memory[name] >= rule.memory:
            continue
        has, wants = memory[name], format_size(rule.memory)
        gets = f"its GPUs have {format_size(has)}" if has else "it gets no GPU on this host"
        hint = "give it a larger GPU, or more of them, or use a model that needs less"
        if has >= rule.memory * _NEARLY:
            gets = f"its GPUs have {has / 1024**3:.2f}GiB"
            hint = "a card keeps a little of its memory for itself: minVram must not be above what is left"
        yield Diagnostic(
            code="MG3037",
            message=f"{name} needs {wants} of GPU memory by the greenlist, and {gets}",
            path=("models", name),
            location=document.key(("models", name)),
            related=(Related(location=rules.place(rule, "minVram"), message="the rule"),),
            hint=hint,
        )
