"""What the artifacts say about their units: which there are, what each needs, which model it serves."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from modelgrid.apply.planning.container_options import run_image, run_options
from modelgrid.emit.artifact import QUADLETS, UNITS
from modelgrid.emit.names import GATEWAY, TARGET, quadlet_references, unit_name
from modelgrid.emit.unitfile import Key, UnitSyntaxError, meaning, parse_unit
from modelgrid.ir import Endpoint, Manager, OnChange
from modelgrid.ports import split_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelgrid.emit.artifact import Artifact


_SUBNET = re.compile(r"\b\d+\.\d+\.\d+\.\d+/\d+\b")


class Role(Enum):
    """What kind of unit it is, which decides how a change of it is brought to effect."""

    TARGET = "target"
    GATEWAY = "gateway"
    NETWORK = "network"
    IMAGE = "image"
    #: Runs once, and others wait for it.
    GATE = "gate"
    #: A model server, or any other service that stays up.
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit of a tree.

    Attributes:
        name: as systemd has it.
        artifact: the quadlet or plain unit that it comes from.
        values: the keys of that file, by section and key.
        needs: names of the units of images and networks that it depends on.
        wanted: whether it is to be up as long as the grid is.
    """

    name: str
    artifact: Artifact
    role: Role
    values: Mapping[Key, tuple[str, ...]] = field(repr=False)
    needs: frozenset[str]
    wanted: bool

    @property
    def plain(self) -> bool:
        """Whether systemd reads the file itself, by a link of ours."""
        return self.artifact.path.startswith(f"{UNITS}/")

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that it serves."""
        return self.values.get(("X-ModelGrid", "Model"), ())

    @property
    def model(self) -> str:
        """What messages call what it serves: the names of its models; empty where it serves none."""
        return ", ".join(self.models)

    @property
    def image(self) -> str:
        """The image that it pulls; empty where it pulls none."""
        # a plain service that pulls says what
        image = self.value("Image", "Image") or self.value("X-ModelGrid", "Image")
        return image.replace("%%", "%") if self.role is Role.IMAGE else ""

    @property
    def pull_size(self) -> int | None:
        """Bytes that a host pulls which has nothing of its image; none where that is not known."""
        said = self.value("X-ModelGrid", "Size")
        return int(said) if said.isascii() and said.isdecimal() else None

    @property
    def manager(self) -> Manager | None:
        """Who makes the container, network or image of it; none where it has none."""
        if not self.plain:
            return Manager.QUADLET
        named = self.value("X-ModelGrid", "Manager")
        return next((manager for manager in Manager if manager.value == named), None)

    @property
    def program(self) -> str:
        """The program that knows its container, network or image."""
        return "docker" if self.manager is Manager.DOCKER else "podman"

    @property
    def network(self) -> str:
        """The name that the program has for the network that it makes; empty where it makes none."""
        if self.role is not Role.NETWORK:
            return ""
        # podman-systemd.unit(5), NetworkName=
        named = self.value("Network", "NetworkName") or self.value("X-ModelGrid", "Network")
        return named or f"systemd-{self.name.removesuffix('-network.service')}"

    @property
    def container(self) -> str:
        """The name that the program has for its container; empty where it has none."""
        names = self._run.get("--name", ())
        return self.value("Container", "ContainerName") or (names[-1] if names else "")

    @property
    def runs_image(self) -> str:
        """The image of its container, or the quadlet that pulls it; empty where it has no container."""
        image = self.value("Container", "Image")
        return image or (run_image(self.value("Service", "ExecStart")) if self._run else "")

    @property
    def _run(self) -> Mapping[str, Sequence[str]]:
        has_container = self.plain and self.manager is not None and self.role is Role.SERVICE
        return run_options(self.value("Service", "ExecStart")) or {} if has_container else {}

    @property
    def on_change(self) -> OnChange:
        """What becomes of it when its definition changes; a word that is not known means a restart."""
        try:
            return OnChange(self.value("X-ModelGrid", "OnChange") or "restart")
        except ValueError:
            return OnChange.RESTART

    @property
    def address(self) -> str:
        """Where its server answers, ``address:port``; empty where it is none."""
        return self.value("X-ModelGrid", "Endpoint")

    @property
    def claims(self) -> Mapping[str, int]:
        """What its server takes of each GPU, in bytes by UUID; 0 where that is not known."""
        found = (value.split() for value in self.values.get(("X-ModelGrid", "Claim"), ()))
        return {words[0]: int(words[1]) for words in found if len(words) == 2 and words[1].isdecimal()}  # noqa: PLR2004

    def value(self, section: str, key: str) -> str:
        """Return the last value of *key*, which is the one that counts for a key with one value; empty if unset."""
        return self.values.get((section, key), ("",))[-1]

    def words(self, section: str, key: str) -> frozenset[str]:
        """Return all words of a key that lists names."""
        return frozenset(word for value in self.values.get((section, key), ()) for word in value.split())


def units_of(artifacts: Iterable[Artifact]) -> Mapping[str, Unit]:
    """Return the units of a tree by name, sorted."""
    return _units_of(tuple(artifacts))


# the same trees are asked for several times per change: as wanted, as current, for their links
@lru_cache(maxsize=16)
def _units_of(artifacts: tuple[Artifact, ...]) -> Mapping[str, Unit]:
    found = {name: item for item in artifacts if (name := unit_name(item.path)) is not None}
    parsed = {name: _parse(item.content) for name, item in found.items()}
    by_target = {
        word
        for key in ("Wants", "Requires")
        for value in parsed.get(TARGET, {}).get(("Unit", key), ())
        for word in value.split()
    }
    roles = {name: _role(name, item, parsed[name]) for name, item in found.items()}
    parts = {name for name, role in roles.items() if role in {Role.IMAGE, Role.NETWORK}}
    units = {}
    for name, item in sorted(found.items()):
        values = parsed[name]
        installed = {word for value in values.get(("Install", "WantedBy"), ()) for word in value.split()}
        units[name] = Unit(
            name=name,
            artifact=item,
            role=roles[name],
            values=values,
            needs=_references(item) | (_depends_on(values) & parts),
            wanted=name == TARGET or name in by_target or TARGET in installed,
        )
    return MappingProxyType(units)


def subnets_of(units: Iterable[Unit]) -> tuple[str, ...]:
    """Return the subnets of the networks among *units*, in CIDR form, sorted."""
    texts = (unit.artifact.content for unit in units if unit.role is Role.NETWORK)
    return tuple(sorted({found for text in texts for found in _SUBNET.findall(text)}))


def gateway_listen(units: Mapping[str, Unit]) -> Endpoint | None:
    """Return where the gateway of a tree listens, from its command line; none where the tree has no gateway."""
    gateway = units.get(GATEWAY)
    try:
        words = shlex.split(gateway.value("Service", "ExecStart")) if gateway else []
    except ValueError:
        return None
    for option, value in pairwise(words):
        if option == "--listen" and (address := split_address(value)) is not None:
            return Endpoint(host=address[0], port=address[1])
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedKey:
    """A key whose values differ in meaning. The key of a file that is no unit is two empty words."""

    key: Key
    before: tuple[str, ...]
    after: tuple[str, ...]


def changed_keys(before: str, after: str) -> tuple[ChangedKey, ...]:
    """Return the keys of two units that differ in what a restart would bring to effect, sorted."""
    if before == after:
        # most units of most changes; to read them takes half of a plan's time
        return ()
    old, new = dict(meaning(before)), dict(meaning(after))
    return tuple(
        ChangedKey(key=key, before=old.get(key, ()), after=new.get(key, ()))
        for key in sorted(old.keys() | new.keys())
        if old.get(key, ()) != new.get(key, ())
    )


def differences(before: str, after: str) -> tuple[str, ...]:
    """Return what a restart would bring to effect, one clause per key: ``Container.Exec changed from … to …``."""
    clauses = []
    for change in changed_keys(before, after):
        gone = [value for value in change.before if value not in change.after]
        come = [value for value in change.after if value not in change.before]
        name = ".".join(change.key) if change.key[0] else "the file"
        if gone and come:
            clauses.append(f"{name} changed from {_quote(gone)} to {_quote(come)}")
        elif gone:
            clauses.append(f"{name} no longer has {_quote(gone)}")
        elif come:
            clauses.append(f"{name} has {_quote(come)} now")
        else:
            clauses.append(f"{name} has another order")
    return tuple(clauses)


def _role(name: str, item: Artifact, values: Mapping[Key, tuple[str, ...]]) -> Role:
    if name.endswith(".target"):
        return Role.TARGET
    if name == GATEWAY:
        return Role.GATEWAY
    if item.path.endswith(".network") or ("X-ModelGrid", "Network") in values:
        return Role.NETWORK
    if item.path.endswith(".image") or ("X-ModelGrid", "Image") in values:
        return Role.IMAGE
    return Role.GATE if values.get(("Service", "Type"), ("",))[-1] == "oneshot" else Role.SERVICE


def _references(item: Artifact) -> frozenset[str]:
    """Return the units of the quadlets that *item* refers to."""
    if not item.path.endswith(".container"):
        return frozenset()
    try:
        references = quadlet_references(item.content)
    except UnitSyntaxError:
        return frozenset()
    return frozenset(name for file in references if (name := unit_name(f"{QUADLETS}/{file}")) is not None)


def _depends_on(values: Mapping[Key, tuple[str, ...]]) -> frozenset[str]:
    """Return the units that a unit names itself, as those that it cannot, or would rather not, start without."""
    lines = (line for key in ("Requires", "Wants") for line in values.get(("Unit", key), ()))
    return frozenset(word for line in lines for word in line.split())


def _parse(text: str) -> Mapping[Key, tuple[str, ...]]:
    try:
        return parse_unit(text)
    except UnitSyntaxError:
        # a file that was altered on the host; by its meaning it differs from every other, so it is replaced
        return {}


def _quote(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)
