"""Validates the data against the schema: every fault at once, one for each place."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from modelgrid.config.faults import TOO_MANY
from modelgrid.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.config.faults import Fault
    from modelgrid.diagnostics import Path

#: A missing key takes its section along, and that the one it stands in: no section is deeper.
_ROUNDS: Final = 5


def validate(data: Mapping[str, Any]) -> tuple[Config | None, tuple[Fault, ...]]:
    """Return the Config that *data* is, or none and every fault of a key or value, one for each place."""
    _without_plugins()
    try:
        return Config.model_validate(data), ()
    except ValidationError as error:
        return None, tuple(_faults(error, data))


def _without_plugins() -> None:
    """Keep pydantic from looking for plugins when it builds the schema.

    The search imports importlib.metadata and reads the metadata of every installed package: 18 of the 140 ms of a
    check. What it finds would run in this process, which may be root's. PYDANTIC_DISABLE_PLUGINS is read after
    that import, so a module stands in for pydantic's loader; should pydantic want more of it, it gets the real one.
    """
    name = "pydantic.plugin._loader"
    if name in sys.modules:
        return

    def real(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)  # the import system asks for __path__
        sys.modules.pop(name, None)
        return getattr(import_module(name), attribute)

    loader = ModuleType(name)
    loader.__dict__.update(get_plugins=tuple, __getattr__=real)
    sys.modules[name] = loader


def salvage(data: Mapping[str, Any], faults: tuple[Fault, ...]) -> Config | None:
    """Return the Config of what is sound in *data*, so that rules across fields can be checked as well.

    What is at fault is left out with all that cannot be without it. None where that leaves nothing, and where there
    are more faults than *faults* names.
    """
    rest = _copy(data)
    for _ in range(_ROUNDS):
        if any(fault.code == TOO_MANY for fault in faults):
            return None
        for fault in faults:
            _leave_out(rest, fault)
        rest["version"] = 1
        config, faults = validate(rest)
        if config is not None:
            return config
    return None


def _faults(error: ValidationError, data: Mapping[str, Any]) -> list[Fault]:
    from modelgrid.config.explanations import MAX_FAULTS, Finding, explain, is_wrong_type, too_many  # noqa: PLC0415  only for a faulty file

    by_place: dict[tuple[Path, bool], list[Any]] = {}
    for item in error.errors(include_url=False, include_input=False):
        by_place.setdefault(_place(item, data), []).append(item)
    # a value of a union gets an error for each form that it could have: those deepest inside tell most
    outer = {path[:length] for path, is_key in by_place if not is_key for length in range(len(path))}
    faults: list[Fault] = []
    for (path, is_key), items in by_place.items():
        if path in outer and not is_key and all(is_wrong_type(item["type"]) for item in items):
            continue
        if len(faults) == MAX_FAULTS:
            faults.append(too_many(len(by_place) - MAX_FAULTS))
            break
        faults.append(explain(Finding(path=path, errors=items, value=value_at(data, path), is_key=is_key)))
    return faults


def _place(item: Any, data: Mapping[str, Any]) -> tuple[Path, bool]:
    """Return where in the data an error is, without pydantic's names for the forms of a union; and if at a key."""
    path: list[str | int] = []
    here: Any = data
    loc = item["loc"]
    for step in loc:
        inside = (isinstance(here, dict) and isinstance(step, str) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        )
        if inside:
            path.append(step)
            here = here[step]
    if item["type"] == "missing":
        path.append(loc[-1])
    return tuple(path), bool(loc) and loc[-1] == "[key]"


def value_at(data: Any, path: Path) -> Any:
    """Return the value at *path* of *data*; none where it has no such value."""
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _copy(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    return [_copy(value) for value in data] if isinstance(data, list) else data


def _leave_out(data: dict[str, Any], fault: Fault) -> None:
    path = fault.path[:-1] if fault.code == "MG2002" else fault.path
    # an item is not taken out of its list: those after it would have other paths
    list_step = next((index for index, step in enumerate(path) if isinstance(step, int)), len(path))
    path = path[:list_step]
    parent = value_at(data, path[:-1])
    if path and isinstance(parent, dict):
        parent.pop(path[-1], None)
