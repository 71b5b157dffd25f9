"""What may go from a host, and what never does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply import execute
from modelgrid.apply.events import ignore
from modelgrid.apply.garbage import Garbage, GarbageKind, collect_garbage, find_garbage
from modelgrid.apply.process import NOT_FOUND, Completed
from modelgrid.apply.store.files import locked
from modelgrid.apply.store.generations import Generations
from modelgrid.apply.store.records import Pending, Phase, Records
from modelgrid.apply.store.retention import Retention
from modelgrid.errors import HostError
from tests.apply.trees import tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelgrid.apply.host import Host
    from modelgrid.emit.artifact import Artifact
    from tests.apply.fakes import Machine

WEIGHTS = Path("/var/lib/modelgrid/weights")
OLD, NEW = "docker.io/library/old:1", "docker.io/library/new:1"
ONE = Retention(keep=1)


class Podman:
    """podman, with volumes and images, and containers that use some; all else is for *others*."""

    def __init__(self, host: Host) -> None:
        self._others = host.processes
        self.volumes: dict[str, int] = {}
        self.images: dict[str, int] = {}
        self.used: set[str] = set()
        #: what does not go, though it was not in use when it was looked at
        self.stuck: set[str] = set()

    def run(self, *argv: str, environment: Mapping[str, str] | None = None, timeout: float = 60.0) -> Completed:  # noqa: PLR0911 - a table
        match argv:
            case ("docker", *_):
                return Completed(returncode=NOT_FOUND, stdout="", stderr="")
            case ("podman", "ps", "--quiet"):
                return said("")
            case ("podman", "ps", "--all", "--quiet", "--filter", condition):
                return said("4711\n" if condition.partition("=")[2] in self.used else "")
            case ("podman", "volume", "ls", *_):
                return said("".join(f"{name}\n" for name in self.volumes))
            case ("podman", "volume", "inspect", *_, name):
                return said(f"/volumes/{name}\n")
            case ("du", *_, place):
                return said(f"{self.volumes[place.rpartition('/')[2]]}\t{place}\n")
            case ("podman", "image", "inspect", *_, name):
                return said(f"{self.images[name]}\n") if name in self.images else said("", 125)
            case ("podman", "volume" | "image", "rm", name):
                if name in self.stuck:
                    return Completed(returncode=2, stdout="", stderr="Error: it is in use\n")
                self.volumes.pop(name, None)
                self.images.pop(name, None)
                return said("")
        return self._others.run(*argv, environment=environment, timeout=timeout)


def said(text: str, code: int = 0) -> Completed:
    return Completed(returncode=code, stdout=text, stderr="")


class Hoard:
    """A host, what its podman has, and its unpacked weights."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.podman = Podman(machine.host())

    @property
    def host(self) -> Host:
        return replace(self.machine.host(), processes=self.podman)

    def apply(self, *trees: Sequence[Artifact]) -> None:
        for wanted in trees:
            execute.apply(wanted, self.host)

    def weights(self, name: str, *, verified: bool = True) -> Path:
        path = self.machine.real(str(WEIGHTS / name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * 100)
        if verified:
            path.with_name(f"{name}.verified").write_text("{}", encoding="utf-8")
        return path

    def find(self, retention: Retention = ONE) -> list[tuple[str, str, int | None]]:
        return [told(item) for item in find_garbage(self.host, weights=WEIGHTS, retention=retention)]

    def collect(self, retention: Retention = ONE) -> tuple[list[str], list[str]]:
        removed, left = collect_garbage(self.host, weights=WEIGHTS, retention=retention, on_event=ignore)
        return [item.name for item in removed], [item.name for item in left]


def told(item: Garbage) -> tuple[str, str, int | None]:
    return item.kind.value, item.name, item.size


@pytest.fixture
def hoard(machine: Machine) -> Hoard:
    return Hoard(machine)


def with_text(text: str, size: int = 1) -> tuple[Artifact, ...]:
    """A tree whose one model has *text* in its unit."""
    made = tree({"a": size})
    return tuple(
        replace(item, content=item.content.replace("[Service]", f"Volume={text}\n[Service]"))
        if item.path.endswith("-a.container")
        else item
        for item in made
    )


def test_on_a_host_with_nothing_there_is_nothing_and_nothing_is_made(hoard: Hoard) -> None:
    assert hoard.find() == []
    assert hoard.collect() == ([], [])
    assert not hoard.machine.real("/etc/modelgrid").exists()


def test_weights_and_volumes_go_when_no_generation_that_stays_mentions_them(hoard: Hoard) -> None:
    hoard.weights("old.gguf")
    hoard.weights("new.gguf")
    hoard.weights("mine.gguf", verified=False)
    hoard.podman.volumes = {"modelgrid-old": 10, "modelgrid-new": 20, "modelgrid-new-2": 30, "mine": 40}
    first = with_text(f"{WEIGHTS}/old.gguf:/x\nVolume=modelgrid-old:/y")
    second = with_text(f"{WEIGHTS}/new.gguf:/x\nVolume=modelgrid-new:/y")
    hoard.apply(first, second, with_text(f"{WEIGHTS}/new.gguf:/x\nVolume=modelgrid-new:/z"))

    # by default all three generations stay, and need what they mention
    assert hoard.find(Retention()) == [("volume", "modelgrid-new-2", 30)]
    assert hoard.find() == [
        ("generation", "1", None),
        ("weights", f"{WEIGHTS}/old.gguf", 100),
        ("volume", "modelgrid-new-2", 30),
        ("volume", "modelgrid-old", 10),
    ]
    assert hoard.collect() == (["1", f"{WEIGHTS}/old.gguf", "modelgrid-new-2", "modelgrid-old"], [])
    assert sorted(path.name for path in hoard.machine.real(str(WEIGHTS)).iterdir()) == [
        "mine.gguf",
        "new.gguf",
        "new.gguf.verified",
    ]
    assert hoard.podman.volumes == {"modelgrid-new": 20, "mine": 40}
    assert hoard.collect() == ([], [])


def test_an_image_is_remembered_when_the_generation_that_pulled_it_is_gone(hoard: Hoard) -> None:
    hoard.podman.images = {OLD: 7, NEW: 8, "docker.io/library/mine:1": 9}
    hoard.apply(tree({"a": 1}, pulled=OLD), tree({"a": 1}, pulled=NEW))
    assert hoard.find() == []
    for size in (2, 3):
        execute.apply(tree({"a": size}, pulled=NEW), hoard.host, retention=ONE)
    # two of them went with these
    assert Generations(hoard.machine.files, hoard.machine.layout).numbers() == (3, 4)
    assert hoard.find() == [("image", OLD, 7)]
    hoard.podman.used = {OLD}
    assert hoard.find() == []
    hoard.podman.used = set()
    assert hoard.collect() == ([OLD], [])
    assert OLD not in hoard.podman.images


def test_an_image_that_is_wanted_again_stays(hoard: Hoard) -> None:
    hoard.podman.images = {OLD: 7, NEW: 8}
    hoard.apply(tree({"a": 1}, pulled=OLD), tree({"a": 1}, pulled=NEW))
    for size in (2, 3):
        execute.apply(tree({"a": size}, pulled=OLD), hoard.host, retention=ONE)
    assert hoard.find() == [("image", NEW, 8)]


def test_a_volume_that_a_container_uses_stays(hoard: Hoard) -> None:
    hoard.podman.volumes = {"modelgrid-x": 1}
    hoard.podman.used = {"modelgrid-x"}
    assert hoard.find() == []


def test_what_the_manager_keeps_is_told_and_the_rest_goes(hoard: Hoard) -> None:
    hoard.podman.volumes = {"modelgrid-x": 1, "modelgrid-y": 2}
    hoard.podman.stuck = {"modelgrid-x"}
    events: list[str] = []
    removed, left = collect_garbage(
        hoard.host, weights=WEIGHTS, retention=ONE, on_event=lambda event: events.append(event.message)
    )
    assert ([item.name for item in removed], [item.name for item in left]) == (["modelgrid-y"], ["modelgrid-x"])
    assert "podman does not remove the volume modelgrid-x: Error: it is in use" in events
    # where nothing is applied, nothing stays of it
    assert not hoard.machine.real("/etc/modelgrid").exists()


def test_after_an_interrupted_change_nothing_goes(hoard: Hoard) -> None:
    hoard.apply(tree({"a": 1}))
    hoard.podman.volumes = {"modelgrid-x": 1}
    change = Pending(source=1, target=2, phase=Phase.FORWARD, made=(2,), lefts=(2,))
    Records(hoard.machine.files, hoard.machine.layout).begin(change)
    with pytest.raises(HostError, match="was interrupted"):
        hoard.collect()
    assert hoard.podman.volumes == {"modelgrid-x": 1}


def test_it_waits_for_no_other_change(hoard: Hoard) -> None:
    hoard.apply(tree({"a": 1}))
    hoard.podman.volumes = {"modelgrid-x": 1}
    with (
        locked(hoard.machine.files, hoard.machine.layout.lock),
        pytest.raises(HostError, match="another modelgrid is changing this host"),
    ):
        hoard.collect()
    assert hoard.podman.volumes == {"modelgrid-x": 1}


def test_who_cannot_see_roots_containers_is_told_nothing_wrong(hoard: Hoard) -> None:
    with pytest.raises(HostError, match="which only root sees"):
        find_garbage(replace(hoard.host, user=1000), weights=WEIGHTS, retention=ONE)


def test_a_podman_that_does_not_answer_counts_everything_as_used(hoard: Hoard) -> None:
    hoard.podman.volumes = {"modelgrid-x": 1}

    class Silent:
        def run(self, *argv: str, environment: Mapping[str, str] | None = None, timeout: float = 60.0) -> Completed:
            if "--all" in argv:
                return said("", 125)
            return hoard.podman.run(*argv, environment=environment, timeout=timeout)

    assert find_garbage(replace(hoard.host, processes=Silent()), weights=WEIGHTS, retention=ONE) == ()


def test_every_kind_is_removed_in_its_order() -> None:
    assert [kind.value for kind in GarbageKind] == ["generation", "weights", "volume", "image"]
