"""The difference between two compiled trees, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelgrid.apply.planning.relaxations import Relaxation


class Kind(Enum):
    """What becomes of something."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Effect(Enum):
    """What applying the change does to a unit on a host where all that the base wants runs."""

    START = "starts"
    STOP = "stops"
    RESTART = "restarts"
    RELOAD = "reloads"
    NOTHING = "is not touched"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """One key of a unit or one field of a route that differs.

    Attributes:
        key: ``Container.Exec``, ``aliases``.
        before: its values; none where it was not there.
        after: its values; none where it is gone.
        origins: the parts of the configuration that it comes from, ``$.models.qwen.context``.
    """

    key: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitChange:
    """A unit that differs in meaning.

    Attributes:
        model: the model that it serves; empty where it serves none.
        origin: the part of the configuration that it comes from; empty if unknown.
        reasons: why it has the effect, one clause each; not those that *keys* say.
    """

    unit: str
    model: str
    kind: Kind
    effect: Effect
    origin: str = ""
    keys: tuple[KeyChange, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedChange:
    """A route by its model, or an API key by its name. The hash of a key is never shown: only that it changed."""

    name: str
    kind: Kind
    fields: tuple[KeyChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimChange:
    """What a model takes of a GPU, in bytes: none where it takes nothing, 0 where that is not known."""

    model: str
    gpu: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """All that differs. *files* counts the files that do, with those that only say something else to people."""

    files: int
    units: tuple[UnitChange, ...]
    routes: tuple[NamedChange, ...]
    keys: tuple[NamedChange, ...]
    settings: tuple[KeyChange, ...]
    images_added: tuple[str, ...]
    images_removed: tuple[str, ...]
    claims: tuple[ClaimChange, ...]
    relaxations_gained: tuple[Relaxation, ...]
    relaxations_lost: tuple[Relaxation, ...]

    @property
    def empty(self) -> bool:
        """Whether the trees are the same."""
        return self.files == 0
