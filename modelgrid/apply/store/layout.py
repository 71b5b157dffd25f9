"""Where things lie on a host. Paths are the host's own: the FileSystem of a test puts its root before them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.emit.names import RECOVER, TARGET
from modelgrid.errors import HostError
from modelgrid.ir import Scope
from modelgrid.live import FOLDER as LIVE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The folders and links of one scope.

    Attributes:
        base: ModelGrid's own folder. What lies in it by another name than those below is not ours.
        quadlet_link: made once, points to the quadlets of the current generation.
        linked_folder: whether podman's generator follows that link; else each quadlet is a link of its own beside it.
        unit_folder: where systemd looks for plain units; each of ours is a link in it.
        boot_target: the target that pulls ours in at boot.
        quadlet_folders: where podman's generator looks, in its order (podman-systemd.unit(5)).
        runtime: what a reboot empties, ``/run`` or ``$XDG_RUNTIME_DIR``; units in it win over nothing of ours.
    """

    scope: Scope
    base: Path
    quadlet_link: Path
    unit_folder: Path
    boot_target: str
    quadlet_folders: tuple[Path, ...]
    runtime: Path
    linked_folder: bool = True

    @classmethod
    def system(cls) -> Layout:
        """Return the layout of the system's units."""
        return cls(
            scope=Scope.SYSTEM,
            base=Path("/etc/modelgrid"),
            quadlet_link=Path("/etc/containers/systemd/modelgrid"),
            unit_folder=Path("/etc/systemd/system"),
            boot_target="multi-user.target",
            quadlet_folders=(
                Path("/run/containers/systemd"),
                Path("/etc/containers/systemd"),
                Path("/usr/share/containers/systemd"),
            ),
            runtime=Path("/run"),
        )

    @classmethod
    def user(cls, environment: Mapping[str, str]) -> Layout:
        """Return the layout of a user's units, below $XDG_CONFIG_HOME as the user's systemd has it.

        Raises:
            HostError: neither $XDG_CONFIG_HOME nor $HOME says where that is.
        """
        home = (
            environment.get("XDG_CONFIG_HOME") or (environment.get("HOME") and f"{environment['HOME']}/.config") or ""
        )
        # the XDG base directory specification: a relative path is to be ignored
        if not home.startswith("/"):
            raise HostError("neither XDG_CONFIG_HOME nor HOME names a folder", hint="set HOME to your home folder")
        config = Path(home)
        runtime = environment.get("XDG_RUNTIME_DIR", "")
        return cls(
            scope=Scope.USER,
            base=config / "modelgrid",
            quadlet_link=config / "containers/systemd/modelgrid",
            unit_folder=config / "systemd/user",
            boot_target="default.target",
            quadlet_folders=(
                *((Path(runtime) / "containers/systemd",) if runtime.startswith("/") else ()),
                config / "containers/systemd",
            ),
            # without it no systemd of the user runs, which is told where it matters
            runtime=Path(runtime if runtime.startswith("/") else "/run/user/none"),
        )

    @classmethod
    def of(cls, scope: Scope, environment: Mapping[str, str]) -> Layout:
        """Return the layout of *scope*; *environment* is read for a user's only."""
        return cls.system() if scope is Scope.SYSTEM else cls.user(environment)

    @property
    def generations(self) -> Path:
        """Folder of the generations, each named by its number."""
        return self.base / "generations"

    @property
    def current(self) -> Path:
        """The one link whose swap commits a generation."""
        return self.base / "current"

    @property
    def state(self) -> Path:
        """Folder of the records of what is under way and what was confirmed."""
        return self.base / "state"

    @property
    def pending(self) -> Path:
        """Present while a change is under way, and after one that was killed."""
        return self.state / "pending.json"

    @property
    def confirmed(self) -> Path:
        """Which generation was last seen healthy."""
        return self.state / "confirmed.json"

    @property
    def secrets(self) -> Path:
        """By which values of their secrets units run, none of them told."""
        return self.state / "secrets.json"

    @property
    def lineage(self) -> Path:
        """A random word that tells this host's applied states from all others, from the first that was healthy on."""
        return self.state / "lineage.json"

    @property
    def probation(self) -> Path:
        """Present while a change is on probation."""
        return self.state / "probation.json"

    @property
    def notify(self) -> Path:
        """systemd's socket of that name: each run of systemd makes it anew, and a daemon-reexec does not."""
        return self.runtime / "systemd/notify"

    @property
    def recovery_unit(self) -> Path:
        """The unit that looks after an interrupted change at boot."""
        return self.state / RECOVER

    @property
    def recovery_links(self) -> Mapping[Path, str]:
        """The links by which systemd finds that unit and starts it, there as long as anything is applied."""
        places = (self.unit_folder / RECOVER, self.unit_folder / "basic.target.wants" / RECOVER)
        return dict.fromkeys(places, str(self.recovery_unit))

    @property
    def adopted(self) -> Path:
        """Folder of what was taken over from others, by generation."""
        return self.state / "adopted"

    @property
    def lock(self) -> Path:
        """Locked by the one process that changes this host."""
        return self.base / "lock"

    @property
    def live(self) -> Path:
        """Where a change and the gateways meet (:mod:`modelgrid.live`)."""
        return self.runtime / LIVE_FOLDER

    @property
    def passing_quadlets(self) -> Path:
        """Folder of the quadlets that last as long as a change."""
        return self.runtime / "containers/systemd"

    @property
    def passing_units(self) -> Path:
        """Folder of the plain units that last as long as a change."""
        return self.runtime / ("systemd/system" if self.scope is Scope.SYSTEM else "systemd/user")

    def generation(self, number: int) -> Path:
        """Return the folder of generation *number*."""
        return self.generations / str(number)

    def unit_link(self, unit: str) -> Path:
        """Return the place of the link to plain unit *unit*."""
        return self.unit_folder / unit

    def unit_target(self, unit: str) -> Path:
        """Return what that link points to, whichever generation is current."""
        return self.current / "units" / unit

    @property
    def quadlet_folder(self) -> Path:
        """Where our links for podman's generator are."""
        return self.quadlet_link.parent

    @property
    def quadlet_target(self) -> Path:
        """What the quadlet link points to, whichever generation is current."""
        return self.current / "quadlets"

    @property
    def wants_link(self) -> Path:
        """The link that starts everything at boot."""
        return self.unit_folder / f"{self.boot_target}.wants" / TARGET

    def owns(self, target: str) -> bool:
        """Say whether a link with *target* is ours: it points into our folder."""
        return Path(target).is_relative_to(self.base)
