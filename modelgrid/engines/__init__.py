"""The engines that ModelGrid knows, as data that a configuration can change and add to."""

from __future__ import annotations

from modelgrid.engines.builtin import (
    CUSTOM,
    Engine,
    HealthData,
    TaskData,
    VolumeData,
    Words,
    builtin_engines,
    builtin_names,
)

__all__ = [
    "CUSTOM",
    "Engine",
    "HealthData",
    "TaskData",
    "VolumeData",
    "Words",
    "builtin_engines",
    "builtin_names",
]
