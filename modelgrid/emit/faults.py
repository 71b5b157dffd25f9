"""Faults that show only when something is written out, led back to the part of the configuration behind them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelgrid.diagnostics import Diagnostic, Path, Report, parse_path
from modelgrid.emit.origins import origins_of_key, unit_origin
from modelgrid.emit.quoting import Unrepresentable
from modelgrid.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelgrid.emit.artifact import Artifact
    from modelgrid.emit.unitfile import Key
    from modelgrid.ir import Origin

#: As much of a value as a message shows.
_SHOWN = 60


class Faults:
    """Collects faults, so that all of them are reported at once."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []

    @contextmanager
    def of(self, origin: Origin | None = None) -> Iterator[None]:
        """Collect what is raised inside, and leave the block; *origin* is the part that is written out in it."""
        try:
            yield
        except Unrepresentable as error:
            self._found.append(_unrepresentable(error, origin))
        except ConfigError as error:
            if error.report is None:
                raise
            self._found += error.report

    def stop(self) -> None:
        """End here if there was a fault.

        Raises:
            ConfigError: its report has every one.
        """
        if self._found:
            # replicas have the same faults, at one place of the file
            found = dict.fromkeys(self._found)
            raise ConfigError("the configuration cannot be written out for its target", report=Report.of(found))


def too_old(artifact: Artifact, key: Key, message: str, hint: str) -> Diagnostic:
    """Return the fault that the target has no *key* yet, which *artifact* needs."""
    path = first_path((*origins_of_key(artifact, key), unit_origin(artifact)))
    return Diagnostic(code="MG4040", message=message, path=path, hint=hint)


def first_path(origins: Iterable[str]) -> Path:
    """Return the first of *origins* that is a path of the configuration; that of the whole where none is."""
    for origin in origins:
        try:
            return parse_path(origin)
        except ValueError:
            continue
    return ()


def _unrepresentable(error: Unrepresentable, origin: Origin | None) -> Diagnostic:
    shown = error.value if len(error.value) <= _SHOWN else f"{error.value[:_SHOWN]}…"
    whole = origin.path if origin else ""
    return Diagnostic(
        code="MG2009",
        message=f"{shown!r} {error.rule}",
        path=first_path((*error.origins, whole)),
        # of what is finer the place is not known here
        location=origin.location if origin and not error.origins else None,
        hint="write the value in another way, or put it into a file that the server reads",
    )
