"""What a unit needs of the host before it can start: addresses, devices, secrets, files. Pure: its file says it all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from modelgrid.apply.planning.container_options import container_options, run_options
from modelgrid.apply.planning.units import Role, gateway_listen
from modelgrid.ir import Endpoint
from modelgrid.ports import split_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelgrid.apply.planning.units import Unit

#: A full name of CDI, ``vendor.com/class=device`` (CDI specification, "kind").
_CDI_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+=\S+")

#: A port that is published: an address or none, a port of the host, a port of the container (podman-run(1)).
_PUBLISH = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:]+\]|[0-9.]+)?:)?(?P<port>[0-9]{1,5}):[0-9]+(?:/tcp)?\Z")
_ANY = "0.0.0.0"  # noqa: S104  what podman listens at where no address is given

#: A specifier of systemd that is none for a percent sign.
_SPECIFIER = re.compile(r"(?<!%)(?:%%)*%(?!%)")


class SecretKind(Enum):
    """Who keeps a secret, and in which form."""

    PODMAN = "podman"
    FILE = "file"
    ENCRYPTED = "encrypted"


_CREDENTIALS = {"LoadCredential": SecretKind.FILE, "LoadCredentialEncrypted": SecretKind.ENCRYPTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret that a unit uses, by reference.

    Attributes:
        name: podman's name of it, or that of the credential.
        path: the file that has it; empty for one that podman keeps.
    """

    name: str
    kind: SecretKind
    path: str = ""

    @property
    def key(self) -> str:
        """What tells it from every other secret of the host."""
        return f"{self.kind.value}:{self.path or self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one unit needs.

    Attributes:
        listens: addresses of the host that it will listen at.
        devices: names of CDI.
        mounts: paths of the host that its container shows.
    """

    listens: tuple[Endpoint, ...] = ()
    devices: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()


def needs_of(unit: Unit) -> Needs:
    """Return what *unit* needs besides its secrets."""
    options = _options(unit)
    return Needs(
        listens=tuple(dict.fromkeys(listens_of(unit))),
        devices=tuple(value for value in options.get("--device", ()) if _CDI_NAME.fullmatch(value)),
        mounts=tuple(dict.fromkeys(_mounts(options))),
    )


def listens_of(unit: Unit) -> Iterator[Endpoint]:
    """Yield the addresses of the host that *unit* listens at; a port that podman chooses is none."""
    if unit.role is Role.GATEWAY:
        listen = gateway_listen({unit.name: unit})
        yield from () if listen is None else (listen,)
    elif _contained(unit):
        for value in _options(unit).get("--publish", ()):
            if match := _PUBLISH.match(value):
                yield Endpoint(host=(match["host"] or _ANY).strip("[]"), port=int(match["port"]))
    elif (address := split_address(unit.address)) is not None:
        yield Endpoint(host=address[0], port=address[1])


def secrets_of(unit: Unit, current: str) -> tuple[Secret, ...]:
    """Return the secrets that *unit* uses, sorted. Credentials in the folder *current* are files of the tree."""
    text = unit.artifact.content
    found: dict[str, Secret] = {}
    if "secret" in text.lower():
        for value in _options(unit).get("--secret", ()):
            secret = Secret(name=value.partition(",")[0], kind=SecretKind.PODMAN)
            found[secret.key] = secret
    for key, kind in _CREDENTIALS.items():
        for value in unit.values.get(("Service", key), ()):
            name, colon, source = value.partition(":")
            path = plain_path(source if colon else name)
            # a relative one is of systemd's own store, and may be in any of several folders (systemd.exec(5))
            if path is not None and not path.startswith(f"{current}/"):
                secret = Secret(name=name if colon else path.rpartition("/")[2], kind=kind, path=path)
                found[secret.key] = secret
    return tuple(found[key] for key in sorted(found))


def plain_path(value: str) -> str | None:
    """Return the absolute path that *value* of a unit is; none where it is relative or has a specifier of systemd."""
    if not value.startswith("/") or _SPECIFIER.search(value):
        return None
    return value.replace("%%", "%")


def _contained(unit: Unit) -> bool:
    return unit.artifact.path.endswith(".container") or run_options(unit.value("Service", "ExecStart")) is not None


def _options(unit: Unit) -> Mapping[str, Sequence[str]]:
    if unit.artifact.path.endswith(".container"):
        return container_options(unit.values)
    return run_options(unit.value("Service", "ExecStart")) or {}


def _mounts(options: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for value in options.get("--volume", ()):
        if (path := plain_path(value.partition(":")[0])) is not None:
            yield path
    for value in options.get("--mount", ()):
        fields = dict(field.partition("=")[::2] for field in _csv(value))
        if fields.get("type") == "bind" and (path := plain_path(fields.get("source") or fields.get("src") or "")):
            yield path


def _csv(text: str) -> list[str]:
    import csv  # noqa: PLC0415  few trees have such a mount

    return next(csv.reader([text]), [])
