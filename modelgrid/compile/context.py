"""What compiling depends on beside the configuration, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import PurePath

    from modelgrid.compile.placement import GpuUse
    from modelgrid.compile.wanted import Wanted, WantedModel
    from modelgrid.diagnostics import Location, Path, Report
    from modelgrid.engines.builtin import Engine
    from modelgrid.host.facts import HostFacts
    from modelgrid.ir import Deployment, Scope
    from modelgrid.models.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What compiling depends on beside the configuration.

    Attributes:
        facts: the target host.
        scope: whose systemd shall own the units.
        engines: the built-in engines by name.
        base: folder that relative paths of the configuration start from, absolute.
        cache: folder where weights that a Python package carries are unpacked, absolute.
        state_root: folder below which native servers keep state, absolute; /var/lib for the system.
        locate: the place in the text of a path of the configuration.
        revision: the commit of a repository's weights, from a lock; empty where there is none.
        estimate: bytes that a model takes on the GPUs of its server, from its weights; none where they are not at hand.
        words: the configuration as its file has it, to be kept beside what is made of it.
        foreign: whether the facts are of another host, where *base* does not exist: sources must be absolute.
    """

    facts: HostFacts
    scope: Scope
    engines: Mapping[str, Engine]
    base: PurePath
    cache: PurePath
    state_root: PurePath
    locate: Callable[[Path], Location | None]
    words: Mapping[str, Any] = field(default_factory=dict)
    foreign: bool = False
    revision: Callable[[Source], str] = lambda _: ""
    estimate: Callable[[Wanted, WantedModel], int | None] = lambda *_: None


class Compilation(NamedTuple):
    """What came of a configuration: the Deployment, none when the report holds an error, and what each GPU holds."""

    deployment: Deployment | None
    report: Report
    gpus: tuple[GpuUse, ...]
