"""Images with their digests and sizes in the plan, and room for them on the disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.checks.problems import Refusal
from modelgrid.apply.execute import apply
from modelgrid.apply.observe import plan
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.store.files import FileSystem
from modelgrid.compile.locks import apply_lock
from modelgrid.emit import emit
from modelgrid.ir import Manager, Network
from modelgrid.lock.values import Lock, LockedImage, LockedManifest
from tests.apply.equipment import put_file
from tests.apply.test_treechecks import tree_of, with_lines
from tests.apply.trees import container, image
from tests.emit import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.apply.host import Host
    from modelgrid.emit.artifact import Artifact
    from tests.apply.fakes import Machine

GIB = 1 << 30
DIGEST = f"sha256:{'a' * 64}"
SERVE = f"registry.example/team/serve:1@{DIGEST}"


class SmallDisk(FileSystem):
    """A disk with *room* bytes."""

    def __init__(self, root: Path, room: int) -> None:
        super().__init__(root)
        self._room = room

    def free(self, path: Path) -> int:
        return self._room


def pulling(size: int | None, reference: str = SERVE) -> tuple[Artifact, ...]:
    item = image(reference)
    if size is not None:
        item = dataclasses.replace(item, content=f"{item.content}\n[X-ModelGrid]\nSize={size}\n")
    return tree_of(container("a", image=reference), item)


def host_of(machine: Machine, room: int) -> Host:
    machine.real("/var/lib/containers").mkdir(parents=True, exist_ok=True)
    return dataclasses.replace(machine.host(), files=SmallDisk(machine.root, room))


def images(tree: Sequence[Artifact], host: Host) -> list[dict[str, object]]:
    found: list[dict[str, object]] = plan(tree, host).to_dict()["images"]
    return found


def test_the_plan_has_digest_and_bytes_of_what_is_pulled(machine: Machine) -> None:
    machine.processes.missing_images = {SERVE}
    told = {"image": SERVE, "digest": DIGEST, "pulled_by": "podman", "present": False, "bytes": 3 * GIB}
    assert images(pulling(3 * GIB), host_of(machine, 4 * GIB)) == [told]
    assert images(pulling(None), host_of(machine, 0)) == [told | {"bytes": None}]
    machine.processes.missing_images = set()
    assert images(pulling(3 * GIB), host_of(machine, 0)) == [told | {"present": True, "bytes": 0}]


def test_an_image_that_the_disk_has_no_room_for_is_refused(machine: Machine) -> None:
    machine.processes.missing_images = {SERVE}
    with pytest.raises(Refusal) as caught:
        apply(pulling(3 * GIB), host_of(machine, 2 * GIB))
    assert caught.value.message == (
        "/var/lib/containers/storage has 2GiB free, and 3GiB are to be pulled: registry.example/team/serve:1 (3GiB)"
    )
    assert "podman system df" in str(caught.value.hint)
    assert machine.current() is None
    assert apply(pulling(3 * GIB), host_of(machine, 3 * GIB)).generation == 1


def test_with_another_version_there_it_is_a_note_for_layers_may_be_the_same(machine: Machine) -> None:
    machine.processes.missing_images = {SERVE}
    machine.processes.repositories = ["registry.example/team/serve", "localhost/x"]
    found = plan(pulling(3 * GIB), host_of(machine, 2 * GIB))
    assert found.problems == ()
    assert any("other versions may make it less" in note for note in found.notes)


def test_a_plan_without_rights_knows_the_most_that_is_pulled(machine: Machine) -> None:
    host = dataclasses.replace(host_of(machine, 0), user=1000)
    ((told),) = images(pulling(3 * GIB), host)
    assert (told["present"], told["bytes"]) == (None, 3 * GIB)


@pytest.mark.parametrize(
    ("manager", "podman"),
    [
        (Manager.QUADLET, (5, 4)),
        (Manager.QUADLET, (4, 7)),
        (Manager.PODMAN, (4, 3)),
        (Manager.DOCKER, (5, 4)),
    ],
)
def test_what_the_lock_knows_is_in_the_units_that_pull(manager: Manager, podman: tuple[int, int]) -> None:
    launch = dataclasses.replace(samples.ISOLATED_LAUNCH, manager=manager)
    server = dataclasses.replace(samples.ISOLATED, launch=launch)
    network = Network(manager=manager, subnet="10.133.0.0/16", gateway="10.133.0.1")
    deployment = dataclasses.replace(samples.FULL, servers=(server,), networks=(network,), routes=(), podman=podman)
    manifest = LockedManifest(digest=DIGEST, size=5 * GIB)
    lock = Lock(images={launch.image: LockedImage(digest=DIGEST, architectures={"amd64": manifest})})

    locked, faults = apply_lock(deployment, lock, machine="x86_64")

    assert faults == ()
    pulled = {unit.image: unit.pull_size for unit in units_of(emit(locked)).values() if unit.image}
    assert pulled == {f"{launch.image}@{DIGEST}": 5 * GIB}
    assert {unit.pull_size for unit in units_of(emit(deployment)).values()} == {None}


def test_weights_that_apply_unpacks_first_are_not_missed(machine: Machine) -> None:
    folder = "/var/lib/modelgrid/weights"
    model = with_lines(container("a"), "Container", f"Volume={folder}/x/m.gguf:/models/m.gguf:ro")
    assert plan(tree_of(model), machine.host(), unpacked=Path(folder)).problems == ()
    assert len(plan(tree_of(model), machine.host()).problems) == 1
    put_file(machine, f"{folder}/x/m.gguf")
    assert apply(tree_of(model), machine.host()).generation == 1
