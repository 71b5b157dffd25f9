"""The records beside the generations: what is under way, what was last seen healthy, which
secrets units run by."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelgrid.apply.store.files import FileSystem, remove_name, replace_file
from modelgrid.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.apply.store.layout import Layout

RECORD_VERSION = 1

#: What the kernel calls this boot (random(4)). A container may see that of its host.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Phase(Enum):
    """Which way a change goes, and so which way it is finished after a crash."""

    FORWARD = "forward"
    BACK = "back"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A change that is under way.

    Attributes:
        source: the generation that it began from and goes back to; none where there was none.
        target: the generation that it makes current; none for a destroy.
        made: generations that were made for it, and for changes that were interrupted before it; they go away again
            if it does not come up.
        lefts: generations besides *source* that units may run by, *target* among them once it is current.
    """

    source: int | None
    target: int | None
    phase: Phase
    made: tuple[int, ...] = ()
    lefts: tuple[int, ...] = ()

    def suspects(self, current: int | None) -> tuple[int, ...]:
        """Return the generations that units may still run by, with *current* being current now."""
        begun = self.phase is Phase.BACK or current == self.target
        return tuple(number for number in self.lefts if begun or number != self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probation:
    """A change that is taken back unless it is confirmed.

    Attributes:
        back_to: the generation that comes back; none for nothing applied.
        until: when, in seconds of the epoch; for people, a timer counts by itself.
    """

    generation: int
    back_to: int | None
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A server that goes on by the definition of an older *generation*, as long as its run is *invocation*."""

    generation: int
    invocation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsInUse:
    """By which secrets a unit runs: the fingerprint of each, by its key. *invocation*: the run that they are of."""

    invocation: str
    fingerprints: Mapping[str, str]


class Records:
    """Reads and writes the records. Each is replaced in one step, so none is ever half written."""

    def __init__(self, files: FileSystem, layout: Layout) -> None:
        self._files = files
        self._layout = layout

    def pending(self) -> Pending | None:
        """Return the change that is under way or was killed; none where there is none.

        Raises:
            HostError: the record is not one that this version can read.
        """
        data = self._read(self._layout.pending)
        if data is None:
            return None
        try:
            return Pending(
                source=_number(data["from"]),
                target=_number(data["to"]),
                phase=Phase(data["phase"]),
                made=_numbers(data["made"]),
                lefts=_numbers(data["lefts"]),
            )
        except (KeyError, ValueError) as error:
            raise _unreadable(self._layout.pending) from error

    def confirmed(self) -> int | None:
        """Return the generation that was last seen healthy; none where there is none."""
        data = self._read(self._layout.confirmed)
        if data is None:
            return None
        try:
            return _number(data["generation"])
        except (KeyError, ValueError) as error:
            raise _unreadable(self._layout.confirmed) from error

    def behind(self) -> Mapping[str, Behind]:
        """Return the servers that went on by an older definition when the current generation was confirmed, by unit.

        Raises:
            HostError: the record is not one that this version can read.
        """
        data = self._read(self._layout.confirmed) or {}
        try:
            return {
                str(unit): Behind(generation=int(item["generation"]), invocation=str(item["invocation"]))
                for unit, item in data.get("behind", {}).items()
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _unreadable(self._layout.confirmed) from error

    def drivers(self) -> Mapping[str, str]:
        """Return the version of each GPU driver by its name, as it was when a generation was last seen healthy."""
        found = (self._read(self._layout.confirmed) or {}).get("drivers")
        return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}

    def lineage(self) -> str | None:
        """Return the random word of this host's applied states; none before the first of them was healthy.

        Raises:
            HostError: the record is not one that this version can read.
        """
        data = self._read(self._layout.lineage)
        return None if data is None else str(data.get("lineage"))

    def secrets(self) -> Mapping[str, SecretsInUse]:
        """Return by which secrets units run, as far as they have any, by unit.

        Raises:
            HostError: the record is not one that this version can read.
        """
        data = self._read(self._layout.secrets) or {}
        try:
            return {
                str(unit): SecretsInUse(
                    invocation=str(item["invocation"]),
                    fingerprints={str(key): str(value) for key, value in item["secrets"].items()},
                )
                for unit, item in data.get("units", {}).items()
            }
        except (AttributeError, KeyError, TypeError) as error:
            raise _unreadable(self._layout.secrets) from error

    def remember(self, secrets: Mapping[str, SecretsInUse]) -> None:
        """Record by which *secrets* units run. Nothing is written where that is what the record says."""
        if secrets == self.secrets():
            return
        units = {
            unit: {"invocation": item.invocation, "secrets": dict(item.fingerprints)} for unit, item in secrets.items()
        }
        self._write(self._layout.secrets, {"units": units})

    def rebooted(self) -> bool:
        """Say whether what is under way or on probation is of an earlier run of systemd, and no unit ran on since."""
        now = self._boot()
        found = [self._read(path) for path in (self._layout.pending, self._layout.probation)]
        return any(data is not None and data.get("boot") and data["boot"] != now for data in found)

    def probation(self) -> Probation | None:
        """Return the change that is on probation; none where there is none.

        Raises:
            HostError: the record is not one that this version can read.
        """
        data = self._read(self._layout.probation)
        if data is None:
            return None
        try:
            return Probation(
                generation=int(data["generation"]), back_to=_number(data["back_to"]), until=float(data["until"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(self._layout.probation) from error

    def put_on_probation(self, probation: Probation) -> None:
        """Record *probation*, before the change that it is about is confirmed to be healthy."""
        fields = {"generation": probation.generation, "back_to": probation.back_to, "until": probation.until}
        self._write(self._layout.probation, {"boot": self._boot(), **fields})

    def end_probation(self) -> None:
        """Record that no change is on probation."""
        remove_name(self._files, self._layout.probation)

    def begin(self, pending: Pending) -> None:
        """Record *pending* before the first step that it is about."""
        self._write(
            self._layout.pending,
            {
                "boot": self._boot(),
                "from": pending.source,
                "lefts": list(pending.lefts),
                "made": list(pending.made),
                "phase": pending.phase.value,
                "to": pending.target,
            },
        )

    def confirm(
        self, number: int, *, behind: Mapping[str, Behind] | None = None, drivers: Mapping[str, str] | None = None
    ) -> None:
        """Record that generation *number* is current and healthy, and that nothing is under way.

        *behind* are servers that go on by an older definition, *drivers* the versions of the GPU drivers in use.
        """
        if self.lineage() is None:
            self._write(self._layout.lineage, {"lineage": os.urandom(16).hex()})
        fields: dict[str, Any] = {"generation": number}
        if behind:
            fields["behind"] = {
                unit: {"generation": item.generation, "invocation": item.invocation} for unit, item in behind.items()
            }
        if drivers:
            fields["drivers"] = dict(drivers)
        self._write(self._layout.confirmed, fields)
        self.end()

    def note_drivers(self, drivers: Mapping[str, str]) -> None:
        """Record that what was confirmed is healthy with these *drivers*; writes nothing where that is known."""
        data = self._read(self._layout.confirmed)
        if data is not None and self.drivers() != drivers:
            self._write(self._layout.confirmed, {**data, "drivers": dict(drivers)})

    def end(self) -> None:
        """Record that nothing is under way."""
        remove_name(self._files, self._layout.pending)

    def _boot(self) -> str:
        try:
            boot = self._files.read(_BOOT_ID).decode(errors="replace").strip()
        except OSError:
            boot = ""
        return f"{boot} {self._files.stamp(self._layout.notify)}".strip()

    def _write(self, path: Path, fields: dict[str, Any]) -> None:
        text = json.dumps({"record_version": RECORD_VERSION, **fields}, indent=2, sort_keys=True)
        replace_file(self._files, path, f"{text}\n".encode(), 0o644)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            data = json.loads(self._files.read(path))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise _unreadable(path) from error
        if not isinstance(data, dict) or data.get("record_version") != RECORD_VERSION:
            raise _unreadable(path)
        return data


def _number(value: object) -> int | None:
    if value is None or type(value) is int:
        return value
    raise ValueError(f"{value!r} is no generation")


def _numbers(value: object) -> tuple[int, ...]:
    if isinstance(value, list) and all(type(item) is int for item in value):
        return tuple(value)
    raise ValueError(f"{value!r} is no list of generations")


def _unreadable(path: Path) -> HostError:
    return HostError(
        f"{path} is not a record of this ModelGrid",
        hint="use the version that wrote it, or remove the file and apply again",
    )
