"""The plan as values: what ``apply`` does, in which order, and why. Made by :mod:`modelgrid.apply.planning.planner`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelgrid.apply.checks.problems import Problem
    from modelgrid.apply.planning.relaxations import Relaxation
    from modelgrid.apply.systemd import Verb


class Change(Enum):
    """What becomes of a file."""

    ADD = "add"
    ALTER = "alter"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file of the tree that differs. All of them change in one step, with the swap of the generation."""

    path: str
    change: Change


class Wave(Enum):
    """When an action happens. Everything in one wave is queued together and then waited for."""

    #: Before the swap: systemd must still know how to stop them.
    BEFORE = "before"
    #: Images are pulled while the old servers still run.
    PULL = "pull"
    RUN = "run"
    #: What nothing needs any more, once the new is up.
    AFTER = "after"


class Handover(Enum):
    """How a server that has requests is changed without losing one."""

    #: A stand-in by the new configuration answers while it restarts.
    BESIDE = "beside"
    #: The other servers of its models answer meanwhile; where there are none, the gateway has requests wait.
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One job of systemd, and why.

    Attributes:
        handover: how its requests are kept; none where it has none, or no gateway runs.
        batch: actions of the wave RUN with a higher number come later: replicas that take turns.
        queued: whether it is a job of systemd; new routes are none, the gateway reads the manifest by itself.
        stop_first: a restart in two steps, for the GPUs have no room for what ends and what begins at once.
        model: the model that the unit serves; empty where it serves none.
        origin: the part of the configuration that the unit comes from, ``$.models["llama3:8b"]``; empty if unknown.
        reasons: one clause each.
    """

    wave: Wave
    verb: Verb
    unit: str
    handover: Handover | None = None
    batch: int = 0
    queued: bool = True
    stop_first: bool = False
    model: str = ""
    origin: str = ""
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A server that goes on by an older definition than the tree has, as its ``on_change`` asks.

    *told*: whether it is to be said that its restart waits (``manual``).
    """

    unit: str
    model: str
    told: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """An image that is pulled where it is missing.

    Attributes:
        image: as the unit has it.
        program: who pulls it.
        size: bytes of a pull by a host that has nothing of it; none where that is not known.
        present: whether the host has it; none where nobody looked.
    """

    image: str
    program: str = "podman"
    size: int | None = None
    present: bool | None = None

    @property
    def digest(self) -> str:
        """The digest that the image is pinned to; empty where it is not."""
        return self.image.partition("@")[2]

    @property
    def bytes(self) -> int | None:
        """What is pulled at most, in bytes; none where that is not known."""
        return 0 if self.present else self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUse:
    """A unit that uses a secret.

    Attributes:
        name: podman's name of the secret, or that of the credential.
        kind: who keeps it, and in which form: ``podman``, ``file``, ``encrypted``.
        key: what tells it from every other secret of the host.
        fingerprint: what tells its present value from every other, and nothing of the value; empty where that is not
            known.
    """

    unit: str
    model: str
    name: str
    kind: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRemoval:
    """A network of podman or docker, as *program* says, that is removed after the jobs of *wave*.

    Neither changes a network that exists, so one that differs is removed and made anew.
    """

    wave: Wave
    name: str
    program: str = "podman"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that ``apply`` will do.

    Attributes:
        files: sorted by path.
        actions: in the order of their waves.
        networks: in the order of their waves.
        links: links that someone removed from the host and that are made again.
        adopts: files, links and folders of others in the way, which are taken over; sorted.
        waiting: servers that go on by an older definition, sorted.
        unchanged: units that are left alone, sorted.
        images: images that are pulled where the host lacks them, sorted by name.
        secrets: what secrets the units of the desired tree use, in the order of the units.
        relaxations: what loosens the isolation of a unit in the desired tree.
        notes: what else should be known, one sentence each.
        problems: why ``apply`` would refuse.
    """

    files: tuple[FileChange, ...] = ()
    actions: tuple[Action, ...] = ()
    networks: tuple[NetworkRemoval, ...] = ()
    links: tuple[str, ...] = ()
    adopts: tuple[str, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    unchanged: tuple[str, ...] = ()
    images: tuple[Pull, ...] = ()
    secrets: tuple[SecretUse, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.files or self.actions or self.links or self.adopts)

    def wave(self, wave: Wave) -> tuple[Action, ...]:
        """Return the actions of one wave."""
        return tuple(action for action in self.actions if action.wave is wave)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as values that JSON has."""
        return {
            "files": [{"path": item.path, "change": item.change.value} for item in self.files],
            "actions": [
                {
                    "action": action.verb.name.lower(),
                    "unit": action.unit,
                    "model": action.model or None,
                    "origin": action.origin or None,
                    "when": action.wave.value,
                    "handover": action.handover.value if action.handover else None,
                    "reasons": list(action.reasons),
                }
                for action in self.actions
            ],
            "networks_removed": [{"name": item.name, "when": item.wave.value} for item in self.networks],
            "links": list(self.links),
            "adopts": list(self.adopts),
            "waiting": [
                {"unit": item.unit, "model": item.model or None, "reasons": list(item.reasons)} for item in self.waiting
            ],
            "unchanged": list(self.unchanged),
            "images": [
                {
                    "image": item.image,
                    "digest": item.digest or None,
                    "pulled_by": item.program,
                    "present": item.present,
                    "bytes": item.bytes,
                }
                for item in self.images
            ],
            "secrets": [
                {"unit": item.unit, "model": item.model or None, "name": item.name, "kind": item.kind}
                for item in self.secrets
            ],
            "relaxations": [
                {"unit": item.unit, "model": item.model or None, "text": item.text} for item in self.relaxations
            ],
            "notes": list(self.notes),
            "problems": [{"message": item.message, "hint": item.hint or None} for item in self.problems],
        }
