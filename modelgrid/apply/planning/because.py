"""Why a plan touches a unit, in the words of the configuration: which of its settings are others now. Pure.

A tree has the settings that it was made from (:mod:`modelgrid.settings_record`), and a tree that was just emitted knows
which of them each line comes from. So the settings of both trees and the keys of a unit that differ say together what
the user changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modelgrid.apply.planning.gateway_news import News, gateway_news
from modelgrid.apply.planning.plan import Change
from modelgrid.apply.planning.units import Role, changed_keys, units_of
from modelgrid.diagnostics import format_path
from modelgrid.emit.origins import origins_of_key
from modelgrid.settings_record import SETTINGS, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelgrid.apply.planning.plan import Plan
    from modelgrid.apply.planning.units import ChangedKey, Unit
    from modelgrid.emit.artifact import Artifact

#: Fields of a model and of the gateway that only the gateway reads: no unit is another because of them.
_OF_ROUTES = frozenset({"aliases", "fallback", "keys", "max_body", "on_change"})

#: What units come from that do not say so themselves.
_ORIGINS = {Role.GATEWAY: "$.gateway", Role.NETWORK: "$.network"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A part of the configuration that is another now.

    Attributes:
        path: ``$.models.qwen.context``.
        change: what became of it.
        before: what it said, as JSON has it; none where it was not there, or is a section.
        after: what it says; none where it is gone, or is a section.
    """

    path: str
    change: Change
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """Why one unit is touched.

    Attributes:
        origin: the part of the configuration that the unit comes from; empty if unknown.
        causes: the settings behind it, sorted by path; none where it is not the configuration that changed.
        keys: what is another in its file.
        news: what is another of the gateway's routes and keys.
    """

    origin: str
    causes: tuple[Cause, ...] = ()
    keys: tuple[ChangedKey, ...] = ()
    news: tuple[News, ...] = ()


def explain(plan: Plan, desired: Sequence[Artifact], current: Sequence[Artifact] | None) -> Mapping[str, Because]:
    """Return by unit why *plan*, which leads from *current* to *desired*, touches it, or lets it wait."""
    had = current or ()
    settings = _Settings(_settings(had), _settings(desired))
    old, new = units_of(had), units_of(desired)
    news = gateway_news(had, desired)
    found: dict[str, Because] = {}
    for name in dict.fromkeys((*(action.unit for action in plan.actions), *(item.unit for item in plan.waiting))):
        before, after = old.get(name), new.get(name)
        if before is not None and after is not None:
            found[name] = _kept(before, after, settings, news)
        elif unit := after or before:
            found[name] = _came_or_went(unit, settings, Change.ADD if after is not None else Change.REMOVE)
    for name, because in found.items():
        # what is made anew because of another unit has that one's causes
        needed = new[name].needs & found.keys() if name in new else frozenset()
        inherited = [cause for other in sorted(needed) for cause in found[other].causes]
        if not because.causes and inherited:
            found[name] = replace(because, causes=tuple(inherited))
    return found


def _kept(before: Unit, after: Unit, settings: _Settings, news: Iterable[News]) -> Because:
    keys = changed_keys(before.artifact.content, after.artifact.content)
    causes = {cause.path: cause for cause in settings.of_unit(after, keys)} if keys else {}
    told: list[News] = []
    for item in news if after.role is Role.GATEWAY else ():
        found = settings.below(item.path) if item.setting else []
        causes |= {cause.path: cause for cause in found}
        if not found:
            told.append(item)
    return Because(
        origin=_origin(after),
        causes=tuple(causes[path] for path in sorted(causes)),
        keys=keys,
        news=tuple(told),
    )


def _came_or_went(unit: Unit, settings: _Settings, change: Change) -> Because:
    origin = _origin(unit)
    known = settings.after if change is Change.ADD else settings.before
    there = origin and any(_is_below(path, origin) for path in known)
    return Because(origin=origin, causes=(Cause(path=origin, change=change),) if there else ())


def _origin(unit: Unit) -> str:
    return unit.value("X-ModelGrid", "Origin") or _ORIGINS.get(unit.role, "")


class _Settings:
    """The settings of two trees. Strictly private: made once per plan."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self.before = before
        self.after = after
        # a tree of an older version has no settings, and then nothing is known to have changed
        paths = sorted(before.keys() | after.keys()) if before and after else []
        self._changed = [path for path in paths if _value(before, path) != _value(after, path)]

    def below(self, origin: str, *, without: frozenset[str] = frozenset()) -> list[Cause]:
        """Return the changed settings at *origin* and below it, but for its fields *without*."""
        left_out = [f"{origin}.{field}" for field in without]
        return [
            self._cause(path)
            for path in self._changed
            if _is_below(path, origin) and not any(_is_below(path, field) for field in left_out)
        ]

    def of_unit(self, unit: Unit, keys: Iterable[ChangedKey]) -> list[Cause]:
        """Return the changed settings that *keys* of *unit* come from."""
        own = self.below(_origin(unit), without=_OF_ROUTES)
        if not unit.artifact.origins:
            return own
        lines = {origin for change in keys for origin in origins_of_key(unit.artifact, change.key)}
        traced = [cause for line in sorted(lines) for cause in self.below(line)]
        # a line that is gone, or lacks what was in it, has no origin in the new tree
        gone = [cause for cause in own if cause.change is Change.REMOVE]
        return [*traced, *gone] or own

    def _cause(self, path: str) -> Cause:
        if path not in self.before:
            return Cause(path=path, change=Change.ADD, after=self.after[path])
        if path not in self.after:
            return Cause(path=path, change=Change.REMOVE, before=self.before[path])
        return Cause(path=path, change=Change.ALTER, before=self.before[path], after=self.after[path])


def model_path(model: str) -> str:
    """Return the path of *model* in the configuration."""
    return format_path(("models", model))


def _settings(tree: Iterable[Artifact]) -> Mapping[str, Any]:
    return next((load_settings(item.content) for item in tree if item.path == SETTINGS), {})


def _value(settings: Mapping[str, Any], path: str) -> tuple[Any, ...]:
    # a tuple, so that false and 0, and none and nothing, are not the same
    return (type(settings[path]), settings[path]) if path in settings else ()


def _is_below(path: str, origin: str) -> bool:
    return path == origin or path.startswith((f"{origin}.", f"{origin}["))
