"""Keys of podman and systemd that a configuration sets by hand, for what the language has no field for.

Each is written with the encoder of its own reader. Nothing here says that a value makes sense: the host's own
generator and ``systemd-analyze verify`` say so before a change is made.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from modelgrid.diagnostics import Diagnostic, Path, Report, format_path
from modelgrid.emit import systemd_keys
from modelgrid.emit.dropin_values import Scalar, quadlet_value, systemd_value, text_of
from modelgrid.emit.owned_keys import OWNED_OPTIONS, OWNED_QUADLET, OWNED_SYSTEMD
from modelgrid.emit.podman_keys import PODMAN, PodmanKey
from modelgrid.emit.quoting import UnitText, Unrepresentable
from modelgrid.emit.systemd_keys import SYSTEMD
from modelgrid.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

#: What stands behind a key: one value, or several of a key that counts each of its lines.
Setting: TypeAlias = "Scalar | Sequence[Scalar]"

_CONTAINER = PODMAN["Container"]
#: Keys that :mod:`modelgrid.emit.downgrade` writes for a podman that lacks them though they are no options.
_REWRITTEN = frozenset({"ReloadCmd", "ReloadSignal"})
#: Labels that ModelGrid finds its containers by.
_OWN_LABELS = "io.modelgrid."


@dataclass(frozen=True, slots=True, kw_only=True)
class DropInLine:
    """One assignment, for *section* of the unit, below those of ModelGrid. *value* knows what it comes from."""

    section: str
    key: str
    value: UnitText

    @property
    def line(self) -> UnitText:
        """The line as it stands in the unit."""
        return UnitText(f"{self.key}={self.value}", origins=self.value.origins)


class _Fault(Exception):  # noqa: N818  it never leaves this module
    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


def quadlet_lines(
    keys: Mapping[str, Setting], *, podman: tuple[int, ...] = (), path: Path = ()
) -> tuple[DropInLine, ...]:
    """Return the lines of [Container] for *keys*, in their order.

    A key that the target's podman lacks is written all the same where :mod:`modelgrid.emit.downgrade` has another
    spelling for it.

    Args:
        keys: by the names that podman-systemd.unit(5) has. Of ``PodmanArgs``, ``GlobalArgs`` and ``ReloadCmd`` a
            text is split into words as a shell does.
        podman: the target's version; ``()`` is not known and counts as new.
        path: where *keys* stand in the configuration: ``("models", "qwen", "quadlet")``.

    Raises:
        ConfigError: its report has every key that is unknown, too new, ModelGrid's own, or has a value that cannot
            be written.
    """

    def lines(key: str, setting: Setting) -> Iterator[DropInLine]:
        entry = _CONTAINER.get(key)
        if entry is None:
            raise _unknown(key, "[Container]", _CONTAINER)
        _refuse_owned(key, OWNED_QUADLET)
        _refuse_new_podman(key, entry, podman)
        values = _values(key, setting, several=entry.reader.several)
        for value in values:
            _refuse_owned_value(key, value)
            yield DropInLine(section="Container", key=key, value=quadlet_value(key, entry.reader, value))

    return _collect(keys, path, lines)


def systemd_lines(keys: Mapping[str, Setting], *, systemd: int = 0, path: Path = ()) -> tuple[DropInLine, ...]:
    """Return the lines of [Unit] and [Service] for *keys*, in their order; the key says in which section each is.

    Args:
        keys: by the names that systemd.directives(7) has. A text is split into words for commands only; of a key
            that lists paths each is a value of its own.
        systemd: the target's version; 0 is not known and counts as new.
        path: where *keys* stand in the configuration.

    Raises:
        ConfigError: as :func:`quadlet_lines`.
    """

    def lines(key: str, setting: Setting) -> Iterator[DropInLine]:
        section = next((name for name in ("Service", "Unit") if key in SYSTEMD[name]), None)
        if section is None:
            raise _unknown(key, "[Unit] or [Service]", {**SYSTEMD["Unit"], **SYSTEMD["Service"]})
        _refuse_owned(key, OWNED_SYSTEMD)
        entry = SYSTEMD[section][key]
        for value in _values(key, setting, several=entry.several):
            needed = max(entry.since, systemd_keys.VALUES.get((section, key, text_of(value)), 0))
            if systemd and systemd < needed:
                raise _too_new(key, f"systemd {needed}", str(systemd))
            yield DropInLine(section=section, key=key, value=systemd_value(entry.form, value))

    return _collect(keys, path, lines)


def _collect(
    keys: Mapping[str, Setting], path: Path, lines: Callable[[str, Setting], Iterator[DropInLine]]
) -> tuple[DropInLine, ...]:
    found: list[DropInLine] = []
    faults: list[Diagnostic] = []
    for key, setting in keys.items():
        place = (*path, key)
        origins = (format_path(place),)
        try:
            for item in lines(key, setting):
                value = UnitText(item.value, origins=origins)
                found.append(DropInLine(section=item.section, key=item.key, value=value))
        except _Fault as fault:
            faults.append(Diagnostic(code=fault.code, message=fault.message, path=place, hint=fault.hint))
        except Unrepresentable as error:
            message = f"the value of {key}= cannot be written: {error}"
            faults.append(Diagnostic(code="MG4033", message=message, path=place))
    if faults:
        raise ConfigError("keys that are set by hand cannot be written", report=Report.of(faults))
    return tuple(found)


def _values(key: str, setting: Setting, *, several: bool) -> Sequence[Scalar]:
    if isinstance(setting, str | int | float):
        return [setting]
    if several and setting:
        return setting
    reason = (
        "has no value" if not setting else "takes one value, and a list has several lines, of which the last counts"
    )
    raise _Fault("MG4033", f"{key}= {reason}", "write a list for keys that list something, and one value else")


def _refuse_owned(key: str, owned: Mapping[str, str]) -> None:
    if key in owned:
        raise _Fault("MG4032", f"{key}= is written by ModelGrid", owned[key])


def _refuse_owned_value(key: str, value: Scalar) -> None:
    text = text_of(value)
    if key == "Label" and text.startswith(_OWN_LABELS):
        raise _Fault(
            "MG4032", f"the label {text!r} is ModelGrid's", f"labels that begin with {_OWN_LABELS} are its own"
        )
    if key == "EnvironmentFile" and not text.startswith("/"):
        hint = "podman knows no optional file, and looks for others beside the quadlet: write an absolute path"
        raise _Fault("MG4033", f"EnvironmentFile= is no absolute path: {text!r}", hint)
    if key != "PodmanArgs":
        return
    for word in _shell_words(key, text):
        name = word.partition("=")[0]
        owned = OWNED_OPTIONS.get(name) or (OWNED_OPTIONS["--health-cmd"] if name.startswith("--health-") else None)
        if owned:
            raise _Fault("MG4032", f"the option {name} is written by ModelGrid", owned)


def _shell_words(key: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise _Fault("MG4033", f"{key}= has no words: {text!r}", "close its quotes") from error


def _refuse_new_podman(key: str, entry: PodmanKey, podman: tuple[int, ...]) -> None:
    needed = entry.option_since if entry.option or key in _REWRITTEN else entry.since
    if podman and podman[:2] < needed:
        raise _too_new(key, f"podman {needed[0]}.{needed[1]}", ".".join(map(str, podman)))


def _too_new(key: str, needed: str, found: str) -> _Fault:
    return _Fault("MG4031", f"{key}= came with {needed}, and the target has {found}", f"leave it out, or use {needed}")


def _unknown(key: str, section: str, known: Collection[str]) -> _Fault:
    from difflib import get_close_matches  # noqa: PLC0415  only for a faulty file

    folded = {name.lower(): name for name in known}
    matches = get_close_matches(key[:100].lower(), sorted(folded), n=1, cutoff=0.6)
    hint = f"did you mean {folded[matches[0]]}?" if matches else None
    return _Fault("MG4030", f"{section} has no key {key!r} that ModelGrid knows", hint)
