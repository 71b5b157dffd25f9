"""What loosens the isolation that units have by default; the plan shows each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelgrid.apply.units import Role
from modelgrid.emit.names import NETWORK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelgrid.apply.units import Unit

_TRUE = frozenset({"1", "yes", "true", "on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """One thing that a unit may do and by default may not. *model* is empty where it serves none."""

    unit: str
    model: str
    text: str


def relaxations_of(unit: Unit) -> tuple[Relaxation, ...]:
    """Return what is looser in *unit* than the defaults of ModelGrid."""
    if unit.artifact.path.endswith(".container"):
        texts = _container(unit)
    elif unit.role in {Role.SERVICE, Role.GATEWAY} and unit.plain:
        texts = _service(unit)
    else:
        return ()
    return tuple(Relaxation(unit=unit.name, model=unit.model, text=text) for text in texts)


def _container(unit: Unit) -> Iterator[str]:
    networks = [value.partition(":")[0] for value in unit.values.get(("Container", "Network"), ())]
    if networks != [NETWORK] or unit.words("Container", "PublishPort"):
        yield f"has egress: it is on {', '.join(networks) or 'the default network of podman'}"
    if not _is_true(unit, "Container", "ReadOnly"):
        yield "may write to its root file system"
    if "all" not in unit.words("Container", "DropCapability"):
        yield "keeps the capabilities that podman gives by default"
    if added := unit.words("Container", "AddCapability"):
        yield f"has the capabilities {', '.join(sorted(added))}"
    if not _is_true(unit, "Container", "NoNewPrivileges"):
        yield "may gain privileges by programs in its image"
    if _is_true(unit, "Container", "SecurityLabelDisable"):
        yield "is not confined by SELinux"
    if "--privileged" in unit.words("Container", "PodmanArgs"):
        yield "is privileged"


def _service(unit: Unit) -> Iterator[str]:
    if unit.role is Role.SERVICE and "any" not in unit.words("Service", "IPAddressDeny"):
        yield "has egress: it may connect to other hosts"
    if not _is_true(unit, "Service", "NoNewPrivileges"):
        yield "may gain privileges by set-user-id programs"
    if unit.value("Service", "ProtectSystem") != "strict":
        yield "may write to files of the system where its user may"


def _is_true(unit: Unit, section: str, key: str) -> bool:
    return unit.value(section, key).lower() in _TRUE
