"""How much GPU memory a model takes that nobody gave a number for, from what its weights say of themselves. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.errors import ConfigError
from modelgrid.models.estimate import estimate, habits_of

if TYPE_CHECKING:
    from modelgrid.compile.wanted import Wanted
    from modelgrid.models.metadata import ModelMetadata


def memory_of(want: Wanted, metadata: ModelMetadata) -> int | None:
    """Return the bytes that the model of *metadata* takes over all GPUs of the server *want*.

    None where its context is not known, neither from the configuration nor from the weights.
    """
    serving = want.serving
    gpus = len(serving.gpus) if isinstance(serving.gpus, list) else serving.gpus or 1
    try:
        found = estimate(
            metadata,
            context=serving.context,
            parallel=serving.parallel,
            habits=habits_of(want.engine.base or want.engine.name),
            gpus=gpus,
        )
    except ConfigError:
        return None
    return found.total
