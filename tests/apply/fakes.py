"""A host that is a folder: a systemd that reads its unit files there, programs that answer, ways to stop or fail it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply.host import Host
from modelgrid.apply.planning.units import Role, Unit, units_of
from modelgrid.apply.process import NOT_FOUND, Completed
from modelgrid.apply.store.files import FileSystem, Kind, walk
from modelgrid.apply.store.layout import Layout
from modelgrid.apply.systemd import UNKNOWN, Job, JobResult, Systemd, UnitState, Verb
from modelgrid.emit.artifact import Artifact
from modelgrid.errors import HostError
from modelgrid.live import WorkerStatus, load_serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

GENERATOR = "/usr/lib/systemd/system-generators/podman-system-generator"


class FakeSystemd:
    """A manager that keeps systemd's promises that apply counts on, and records what happened to units as facts.

    Attributes:
        facts: ``start X``, ``stop X``, ``restart X``, ``reload``, in order.
        running: units that are up, with the text that they were started with.
        broken: text that keeps a unit from starting when it is in its file.
        why: the result of a unit that failed.
        took: seconds that the last start of a unit took.
        follows_folders: whether podman's generator follows a link to a folder.
        stale: units whose files changed since they were read.
    """

    def __init__(self, files: FileSystem, layout: Layout) -> None:
        self._files = files
        self._layout = layout
        self._loaded: Mapping[str, Unit] = {}
        self.facts: list[str] = []
        self.running: dict[str, str] = {}
        self.failed: set[str] = set()
        self.masked: set[str] = set()
        self.broken: set[str] = set()
        self.why = "exit-code"
        self.took: dict[str, float] = {}
        self.follows_folders = True
        self.stale: set[str] = set()
        self._results: dict[str, str] = {}
        self.invocations: dict[str, str] = {}
        self._starts = 0

    def daemon_reload(self) -> None:
        self.facts.append("reload")
        self._loaded = self._read_units()

    def boot(self) -> None:
        """Lose every process, and read the unit files that are there; nothing is started yet."""
        self.running, self.failed, self.facts = {}, set(), []
        self._loaded = self._read_units()

    def start_wanted(self) -> None:
        """Go on with the boot: start the target, and with it what it wants, if its link is there."""
        if self._files.readlink(self._layout.wants_link) is not None and "modelgrid.target" in self._loaded:
            self._start("modelgrid.target")

    def enqueue(self, verb: Verb, unit: str) -> Job:
        if unit not in self._loaded and unit not in self.running and unit not in self.failed:
            raise HostError(f"systemd: Unit {unit} not found.")
        self.facts.append(f"{verb.name.lower()} {unit}")
        # systemd works on, whatever becomes of who asked
        match verb:
            case Verb.START:
                result = self._start(unit)
            case Verb.STOP:
                self._stop(unit)
                result = "done"
            case Verb.RESTART:
                stopped = self._stop(unit)
                result = self._start(unit)
                for other in sorted(stopped - {unit}):
                    self._start(other)
            case Verb.RELOAD:
                result = "done"
        path = f"/job/{len(self._results)}"
        self._results[path] = result
        return Job(unit=unit, verb=verb, path=path)

    def wait(self, jobs: Sequence[Job], on_result: Callable[[JobResult], None]) -> tuple[JobResult, ...]:
        results = tuple(JobResult(job=job, result=self._results[job.path]) for job in jobs)
        for result in results:
            on_result(result)
        return results

    def reset_failed(self, unit: str) -> None:
        self.failed.discard(unit)

    def states(self, units: Iterable[str]) -> Mapping[str, UnitState]:
        return {unit: self._state(unit) for unit in units}

    def since(self, unit: str) -> float | None:
        return 1_700_000_000.0 if unit in self.running else None

    def start_seconds(self, unit: str) -> float | None:
        return self.took.get(unit) if unit in self.running else None

    def result(self, unit: str) -> str:
        return self.why if unit in self.failed else "success"

    def control_group(self, unit: str) -> str:
        return f"/system.slice/{unit}" if unit in self.running else ""

    def invocation(self, unit: str) -> str:
        return self.invocations.get(unit, "")

    def needs_reload(self, unit: str) -> bool:
        return unit in self.stale

    def _state(self, unit: str) -> UnitState:
        load = "masked" if unit in self.masked else "loaded" if unit in self._loaded else "not-found"
        if unit in self.running:
            return UnitState(load=load, active="active", sub="running")
        if unit in self.failed:
            return UnitState(load=load, active="failed", sub="failed")
        return UnitState(load=load) if load != "not-found" else UNKNOWN

    def _start(self, name: str) -> str:
        if name in self.running:
            return "done"
        unit = self._loaded[name]
        for needed in sorted(unit.needs):
            if self._start(needed) != "done":
                return "dependency"
        if any(text in unit.artifact.content for text in self.broken):
            self.failed.add(name)
            return "failed"
        self.failed.discard(name)
        self.running[name] = unit.artifact.content
        self._starts += 1
        self.invocations[name] = f"{self._starts:032x}"
        if unit.role is Role.TARGET:
            for wanted in self._wanted_by_target():
                self._start(wanted)
        return "done"

    def _stop(self, name: str) -> set[str]:
        """Stop *name* and what cannot be without it; return all that was running."""
        if self.running.pop(name, None) is None:
            return set()
        stopped = {name}
        for other, unit in self._loaded.items():
            if name in unit.needs or (
                name == "modelgrid.target" and "PartOf=modelgrid.target" in unit.artifact.content
            ):
                stopped |= self._stop(other)
        return stopped

    def _wanted_by_target(self) -> list[str]:
        linked = self._files.listdir(self._layout.unit_folder / "modelgrid.target.wants")
        return sorted({*linked, *(name for name, unit in self._loaded.items() if not unit.plain and unit.wanted)})

    def _read_units(self) -> Mapping[str, Unit]:
        """Follow the links of the host, as systemd and podman's generator do."""
        files, layout = self._files, self._layout
        # those of others, too: a file in systemd's own folder wins over what a quadlet yields
        found = [
            Artifact(path=f"quadlets/{path.name}", content=files.read(path).decode())
            for path in (layout.quadlet_folder / inner for inner in walk(files, layout.quadlet_folder))
            if files.kind(path) is Kind.FILE
        ]
        number = files.readlink(layout.current)
        folder = layout.base / (number or "none")
        for name in files.listdir(layout.unit_folder):
            path = folder / "units" / name
            if files.readlink(layout.unit_folder / name) == str(layout.current / "units" / name) and files.kind(path):
                found.append(Artifact(path=f"units/{name}", content=files.read(path).decode()))
        links = {name: files.readlink(layout.quadlet_folder / name) for name in files.listdir(layout.quadlet_folder)}
        names = {name for name, link in links.items() if link == str(layout.quadlet_target / name)}
        if self.follows_folders and links.get(layout.quadlet_link.name) == str(layout.quadlet_target):
            names |= set(files.listdir(folder / "quadlets"))
        for name in sorted(name for name in names if files.kind(folder / "quadlets" / name)):
            content = files.read(folder / "quadlets" / name).decode()
            found.append(Artifact(path=f"quadlets/{name}", content=content))
        for folder, kind in ((layout.passing_units, "units"), (layout.passing_quadlets, "quadlets")):
            found += [
                Artifact(path=f"{kind}/{name}", content=files.read(folder / name).decode())
                for name in files.listdir(folder)
                if files.kind(folder / name) is Kind.FILE
            ]
        found += [
            Artifact(path=f"units/{name}", content=files.read(layout.unit_folder / name).decode())
            for name in files.listdir(layout.unit_folder)
            if files.kind(layout.unit_folder / name) is Kind.FILE
        ]
        return units_of(found)


@dataclass
class FakeProcesses:
    """Programs that answer as they do on a good host.

    Attributes:
        docker_stderr: what keeps docker from its daemon.
        missing: programs that are not installed.
        timers: command lines of systemd-run, and what it fails with.
        networks_removed: what ``podman network rm`` removed.
        missing_images: local images that podman does not have.
        containers_removed: what ``podman rm`` was asked to remove.
        secrets: podman's secrets, each with its id, which every new value changes.
        repositories: of the images that podman has.
        containers: what ``podman ps`` shows.
        images: the ids of images by their names.
    """

    podman: str = "podman version 5.4.2"
    docker_stderr: str = ""
    missing: set[str] = field(default_factory=set)
    generator_stderr: str = ""
    unmade: set[str] = field(default_factory=set)
    verify_stderr: str = ""
    journal: str = "loading weights\nout of memory\n"
    networks_removed: list[str] = field(default_factory=list)
    missing_images: set[str] = field(default_factory=set)
    containers_removed: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    repositories: list[str] = field(default_factory=list)
    containers: list[dict[str, object]] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)

    timers: list[tuple[str, ...]] = field(default_factory=list)
    timer_stderr: str = ""

    def run(self, *argv: str, environment: Mapping[str, str] | None = None, timeout: float = 60.0) -> Completed:
        if argv[0] in self.missing:
            return Completed(returncode=NOT_FOUND, stdout="", stderr="No such file or directory")
        if argv[0] == "podman":
            return self._podman(*argv[1:])
        if argv[0] == "docker":
            return self._docker(*argv[1:])
        if argv[0] == GENERATOR:
            return self._generate(Path((environment or {})["QUADLET_UNIT_DIRS"]))
        return self._systemd(*argv)

    def _systemd(self, *argv: str) -> Completed:
        if argv[0] == "systemd-analyze":
            return Completed(returncode=0, stdout="", stderr=self.verify_stderr)
        if argv[0] == "systemd-run":
            self.timers.append(argv)
            return Completed(returncode=1 if self.timer_stderr else 0, stdout="", stderr=self.timer_stderr)
        if argv[0] == "journalctl":
            return Completed(returncode=0, stdout=_entries(self.journal), stderr="")
        raise AssertionError(argv)

    def _podman(self, *argv: str) -> Completed:
        said = ""
        match argv:
            case ("--version",):
                said = f"{self.podman}\n"
            case ("network", "rm", name):
                self.networks_removed.append(name)
            case ("image", "exists", name):
                return Completed(returncode=1 if name in self.missing_images else 0, stdout="", stderr="")
            case ("info", "--format", _):
                said = "/var/lib/containers/storage\n"
            case ("images", "--format", _):
                said = "\n".join(self.repositories)
            case ("secret", "inspect", *names):
                return self._secrets(names)
            case ("ps", "--all", "--format", "json"):
                said = json.dumps(self.containers)
            case ("image", "inspect", "--format", "{{.Id}}", name):
                known = self.images.get(name)
                return Completed(returncode=0 if known else 125, stdout=f"{known}\n" if known else "", stderr="")
            case ("rm", "--force", "--ignore", name):
                self.containers_removed.append(name)
            case _:
                raise AssertionError(argv)
        return Completed(returncode=0, stdout=said, stderr="")

    def _docker(self, *argv: str) -> Completed:
        match argv:
            case ("version", "--format", _):
                code = 1 if self.docker_stderr else 0
                return Completed(returncode=code, stdout="26.1.5\n", stderr=self.docker_stderr)
            case ("network", "rm", name):
                self.networks_removed.append(f"docker {name}")
            case ("image", "inspect", "--format", _, name) if name in self.missing_images:
                return Completed(returncode=1, stdout="[]", stderr=f"Error response from daemon: No such image: {name}")
            case ("image", "inspect", *_):
                pass
            case ("rm", "--force", name):
                self.containers_removed.append(f"docker {name}")
            case _:
                raise AssertionError(argv)
        return Completed(returncode=0, stdout="", stderr="")

    def _secrets(self, names: Sequence[str]) -> Completed:
        rows = [
            {"ID": self.secrets[name], "UpdatedAt": "2026-01-02T03:04:05Z", "Spec": {"Name": name}}
            for name in names
            if name in self.secrets
        ]
        missing = [f"Error: inspecting secret: no such secret {name}" for name in names if name not in self.secrets]
        return Completed(returncode=125 if missing else 0, stdout=json.dumps(rows), stderr="\n".join(missing))

    def _generate(self, folder: Path) -> Completed:
        items = [Artifact(path=f"quadlets/{path.name}", content=path.read_text()) for path in sorted(folder.iterdir())]
        made = "".join(
            f"---{name}---\n{unit.artifact.content}\n"
            for name, unit in units_of(items).items()
            if name not in self.unmade
        )
        return Completed(returncode=0, stdout=made, stderr=self.generator_stderr)


def _entries(journal: str) -> str:
    """The journal as JSON, where it is given as what the server said."""
    lines = journal.splitlines()
    return "\n".join(line if line.startswith(("{", "[")) else json.dumps({"MESSAGE": line}) for line in lines)


class Killed(BaseException):
    """The process died here. No handler may catch it, as none would run."""


class Steps:
    """Counts the calls that change something, and stops or fails the one it is told to."""

    def __init__(self, *, kill_at: int = 0, fail_at: int = 0, code: int = errno.EIO) -> None:
        self.taken: list[str] = []
        self._kill_at = kill_at
        self._fail_at = fail_at
        self._code = code
        self.dead = False
        self.descriptors: set[int] = set()

    def take(self, name: str, *, changes: bool = True) -> None:
        """Count a call. One that *changes* nothing that a reader sees can fail, but to die before it is nothing new."""
        if self.dead:
            raise Killed
        if not changes and self._kill_at:
            return
        self.taken.append(name)
        if len(self.taken) == self._kill_at:
            self.dead = True
            # what the kernel does for a process that is gone: above all, the lock is free
            for descriptor in self.descriptors:
                os.close(descriptor)
            raise Killed
        if len(self.taken) == self._fail_at:
            if name.startswith("systemd"):
                raise HostError("systemd: Connection timed out")
            raise OSError(self._code, os.strerror(self._code), name)


class SteppedFiles(FileSystem):
    """The file system with every call that changes something counted."""

    def __init__(self, root: Path, steps: Steps) -> None:
        super().__init__(root)
        self._steps = steps

    def mkdir(self, path: Path, mode: int = 0o755) -> None:
        self._steps.take(f"mkdir {path}")
        super().mkdir(path, mode)

    def open_new(self, path: Path, mode: int) -> int:
        self._steps.take(f"open_new {path}")
        descriptor = super().open_new(path, mode)
        self._steps.descriptors.add(descriptor)
        return descriptor

    def open_folder(self, path: Path) -> int:
        self._steps.take(f"open_folder {path}", changes=False)
        descriptor = super().open_folder(path)
        self._steps.descriptors.add(descriptor)
        return descriptor

    def write(self, descriptor: int, content: bytes) -> int:
        # a short write leaves half a file: the worst moment to be killed in
        if len(content) > 1:
            super().write(descriptor, content[: len(content) // 2])
            self._steps.take("write")
            return super().write(descriptor, content[len(content) // 2 :]) + len(content) // 2
        self._steps.take("write")
        return super().write(descriptor, content)

    def fsync(self, descriptor: int) -> None:
        # the disk itself is not on trial here, and this is what takes the time
        self._steps.take("fsync", changes=False)

    def syncfs(self, descriptor: int) -> None:
        self._steps.take("syncfs", changes=False)

    def close(self, descriptor: int) -> None:
        if self._steps.dead:
            raise Killed
        self._steps.descriptors.discard(descriptor)
        super().close(descriptor)

    def symlink(self, target: str, path: Path) -> None:
        self._steps.take(f"symlink {path}")
        super().symlink(target, path)

    def rename(self, source: Path, target: Path) -> None:
        self._steps.take(f"rename {target}")
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._steps.take(f"unlink {path}")
        super().unlink(path)

    def rmdir(self, path: Path) -> None:
        self._steps.take(f"rmdir {path}")
        super().rmdir(path)

    def lock(self, path: Path) -> int:
        self._steps.take(f"lock {path}")
        descriptor = super().lock(path)
        self._steps.descriptors.add(descriptor)
        return descriptor


class SteppedSystemd:
    """A systemd with every call that changes something counted."""

    def __init__(self, systemd: Systemd, steps: Steps) -> None:
        self._systemd = systemd
        self._steps = steps

    def daemon_reload(self) -> None:
        self._steps.take("systemd daemon_reload")
        self._systemd.daemon_reload()

    def enqueue(self, verb: Verb, unit: str) -> Job:
        self._steps.take(f"systemd {verb.name} {unit}")
        return self._systemd.enqueue(verb, unit)

    def wait(self, jobs: Sequence[Job], on_result: Callable[[JobResult], None]) -> tuple[JobResult, ...]:
        self._steps.take("systemd wait")
        return self._systemd.wait(jobs, on_result)

    def reset_failed(self, unit: str) -> None:
        self._steps.take(f"systemd reset_failed {unit}")
        self._systemd.reset_failed(unit)

    def states(self, units: Iterable[str]) -> Mapping[str, UnitState]:
        return self._systemd.states(units)

    def since(self, unit: str) -> float | None:
        return self._systemd.since(unit)

    def control_group(self, unit: str) -> str:
        return self._systemd.control_group(unit)

    def invocation(self, unit: str) -> str:
        return self._systemd.invocation(unit)

    def start_seconds(self, unit: str) -> float | None:
        return self._systemd.start_seconds(unit)

    def result(self, unit: str) -> str:
        return self._systemd.result(unit)

    def needs_reload(self, unit: str) -> bool:
        return self._systemd.needs_reload(unit)


class Machine:
    """A host in folder *root*, with a systemd that outlives every process that talks to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout.system()
        self.files = FileSystem(root)
        self.systemd = FakeSystemd(self.files, self.layout)
        self.processes = FakeProcesses()
        self.gateway_deaf = False
        #: whether gateways act by the live folder, the manifests that they saw, and what is at which server
        self.with_gateways = False
        self.seen: list[bytes] = []
        self.in_flight: dict[str, int] = {}
        for folder in ("run/systemd/system", "etc/systemd/system/multi-user.target.wants", "etc/containers"):
            (root / folder).mkdir(parents=True)
        self.files.real(Path(GENERATOR)).parent.mkdir(parents=True)
        self.files.real(Path(GENERATOR)).touch()
        self._boots = 0
        self._new_boot()

    def host(self, steps: Steps | None = None) -> Host:
        """The seams as a new process has them."""
        return Host(
            layout=self.layout,
            files=SteppedFiles(self.root, steps or Steps()),
            systemd=SteppedSystemd(self.systemd, steps or Steps()),
            processes=self.processes,
            user=0,
            ask_gateway=lambda listen: self.manifest_in_use(),
            now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            sleep=lambda seconds: self.gateways_look() if self.with_gateways else None,
        )

    def gateways_look(self) -> None:
        """Let every gateway that runs take what the live folder says, and say so in its own."""
        live = self.real("/run/modelgrid")
        routing = live / "routing.json"
        if not routing.exists():
            routing = self.real("/etc/modelgrid/current/routing.json")
        serving = load_serving((live / "serving.json").read_text()).unit if (live / "serving.json").exists() else ""
        for unit in ("modelgrid-gateway.service", "modelgrid-standin-gateway.service"):
            folder = self.real("/run") / unit.removesuffix(".service")
            if unit not in self.systemd.running or self.gateway_deaf:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            folder.mkdir(exist_ok=True)
            self.real("/proc/7").mkdir(parents=True, exist_ok=True)
            content = routing.read_bytes()
            status = WorkerStatus(
                manifest=hashlib.sha256(content).hexdigest(), serving=serving, in_flight=dict(self.in_flight)
            )
            (folder / "worker-7.json").write_text(status.dump())
            if not self.seen or self.seen[-1] != content:
                self.seen.append(content)
                self.systemd.facts.append("routes")

    def power_cycle(self) -> None:
        """Everything ends at once and the host boots, up to where the recovery unit has its turn."""
        self.systemd.boot()
        self._new_boot()

    def _new_boot(self) -> None:
        self._boots += 1
        boot_id = self.real("/proc/sys/kernel/random/boot_id")
        boot_id.parent.mkdir(parents=True, exist_ok=True)
        boot_id.write_text(f"boot {self._boots}\n")

    def manifest_in_use(self) -> str | None:
        if self.gateway_deaf or "modelgrid-gateway.service" not in self.systemd.running:
            return None
        path = self.real("/etc/modelgrid/current/routing.json")
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None

    def real(self, path: str) -> Path:
        """Where *path* of this host lies, its links followed within it."""
        return self.root / path.lstrip("/")

    def current(self) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return int(self.real("/etc/modelgrid/current").readlink().name)
        return None

    def facts(self) -> list[str]:
        """What happened to units since the last look."""
        facts, self.systemd.facts = self.systemd.facts, []
        return facts

    def pending(self) -> dict[str, object] | None:
        path = self.real("/etc/modelgrid/state/pending.json")
        return json.loads(path.read_text()) if path.exists() else None

    def snapshot(self) -> dict[str, tuple[int, str]]:
        """Every name on the host with its time of change and content."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            content = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else ""
            found[str(path.relative_to(self.root))] = (path.lstat().st_mtime_ns, content)
        return found
