"""Each way in which a host can differ from what was applied has its word, and is gone when it is mended."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.apply.drift import Drift, DriftKind, Finding, find_drift, metrics
from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.observe import plan, status
from modelgrid.apply.store.files import FileSystem
from modelgrid.apply.store.records import Pending, Phase, Records
from modelgrid.errors import HostError
from tests.apply.trees import GATEWAY, tree, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelgrid.emit.artifact import Artifact
    from tests.apply.fakes import Machine

A = unit_of("a")
B = unit_of("b")
TREE = tree(["a"], ["b"])
UNITS = "/etc/systemd/system"
CURRENT = "/etc/modelgrid/generations/1"


@pytest.fixture
def applied(machine: Machine) -> Machine:
    apply(TREE, machine.host())
    machine.facts()
    return machine


def found(machine: Machine) -> list[tuple[str, str]]:
    """The words of the drift on *machine*, each with its path, else its unit."""
    return [(item.kind.value, item.path or item.unit) for item in find_drift(machine.host()).findings]


def container(unit: str, *, image: str = "1", state: str = "running", **labels: str) -> dict[str, Any]:
    """What podman shows of a container of the fakes."""
    name = unit.removesuffix(".service")
    return {"Names": [name], "Image": "localhost/llama:1", "ImageID": image, "State": state, "Labels": labels or None}


def test_a_host_as_it_was_applied_has_no_drift_and_looking_writes_nothing(applied: Machine) -> None:
    before = applied.snapshot()
    assert find_drift(applied.host()) == Drift()
    assert applied.snapshot() == before
    assert applied.facts() == []


def test_a_host_that_nothing_was_applied_to_has_no_drift(machine: Machine) -> None:
    assert find_drift(machine.host()) == Drift()


def edited(machine: Machine) -> None:
    path = machine.real(f"{CURRENT}/units/{B}")
    path.write_text(path.read_text().replace("4096", "1"))


def lost(machine: Machine) -> None:
    machine.real(f"{CURRENT}/units/{B}").unlink()


def added(machine: Machine) -> None:
    machine.real(f"{CURRENT}/units/more.service").write_text("[Service]\n")


def unlinked(machine: Machine) -> None:
    machine.real(f"{UNITS}/{GATEWAY}").unlink()


def led_elsewhere(machine: Machine) -> None:
    link = machine.real(f"{UNITS}/modelgrid.target.wants/{B}")
    link.unlink()
    link.symlink_to(f"/etc/modelgrid/generations/1/units/{B}")


def stopped(machine: Machine) -> None:
    machine.systemd.running.pop(B)


def failed(machine: Machine) -> None:
    machine.systemd.running.pop(B)
    machine.systemd.failed.add(B)


WORDS: dict[str, tuple[Callable[[Machine], None], str, str, bool]] = {
    "an edited file": (edited, "file-edited", f"{CURRENT}/units/{B}", True),
    "a file that was removed": (lost, "file-missing", f"{CURRENT}/units/{B}", True),
    "a link that was removed": (unlinked, "link-missing", f"{UNITS}/{GATEWAY}", True),
    "a link that leads elsewhere": (led_elsewhere, "link-elsewhere", f"{UNITS}/modelgrid.target.wants/{B}", True),
    "a unit that was stopped": (stopped, "not-running", B, True),
    "a unit that failed": (failed, "failed", B, False),
}


@pytest.mark.parametrize("name", WORDS)
def test_each_has_its_word_and_apply_mends_it(applied: Machine, name: str) -> None:
    spoil, word, where, _ = WORDS[name]
    spoil(applied)
    assert (word, where) in found(applied)
    apply(TREE, applied.host())
    assert found(applied) == []


@pytest.mark.parametrize("name", WORDS)
def test_apply_can_be_told_not_to_undo_what_somebody_did(applied: Machine, name: str) -> None:
    spoil, _, where, overwritten = WORDS[name]
    spoil(applied)
    before = applied.snapshot()
    if not overwritten:
        apply(TREE, applied.host(), spare_drift=True)
        return
    with pytest.raises(HostError, match=where.rpartition("/")[2]) as caught:
        apply(tree(["a"], {"b": 512}), applied.host(), spare_drift=True)
    assert "--no-drift-overwrite" in str(caught.value.hint)
    assert applied.snapshot() == before
    assert applied.facts() == []


def test_without_drift_an_apply_that_spares_it_is_like_any_other(applied: Machine) -> None:
    assert apply(tree(["a"], {"b": 512}), applied.host(), spare_drift=True).generation == 2


def test_a_file_that_is_not_of_the_generation_is_named(applied: Machine) -> None:
    added(applied)
    assert found(applied) == [("file-added", f"{CURRENT}/units/more.service")]


def test_a_boot_link_that_is_gone_is_no_missing_link(applied: Machine) -> None:
    applied.real(f"{UNITS}/multi-user.target.wants/modelgrid.target").unlink()
    assert found(applied) == [("disabled", f"{UNITS}/multi-user.target.wants/modelgrid.target")]


@pytest.mark.parametrize("unit", [GATEWAY, A])
def test_a_file_in_the_place_of_a_unit_replaces_it(applied: Machine, unit: str) -> None:
    path = applied.real(f"{UNITS}/{unit}")
    path.unlink(missing_ok=True)
    path.write_text("[Service]\nExecStart=/usr/bin/true\n")
    assert found(applied) == [("unit-replaced", f"{UNITS}/{unit}")]


@pytest.mark.parametrize(
    "path",
    [
        f"{UNITS}/{B}.d/10-mine.conf",
        f"/run/systemd/system/{B}.d/10-mine.conf",
        f"/usr/lib/systemd/system/{B}.d/10-mine.conf",
        f"/etc/systemd/system.control/{B}.d/50-MemoryMax.conf",
        f"{UNITS}/modelgrid-model-b.service.d/10-mine.conf",
        f"/etc/containers/systemd/{A.replace('.service', '.container')}.d/10-mine.conf",
        f"/etc/containers/systemd/team/{A.replace('.service', '.container')}.d/10-mine.conf",
    ],
)
def test_a_drop_in_is_named_and_kept_by_plan_and_apply(applied: Machine, path: str) -> None:
    file = applied.real(path)
    file.parent.mkdir(parents=True)
    file.write_text("[Service]\nNice=5\n")
    file.with_name("README").write_text("no drop-in")
    unit = A if "container" in path else B
    [finding] = find_drift(applied.host()).findings
    assert (finding.kind, finding.path, finding.unit) == (DriftKind.DROP_IN, path, unit)
    note = f"{unit} has drop-ins of yours, which are kept: {path}"
    changed = tree({"a": 1}, {"b": 1})
    assert plan(TREE, applied.host()).empty
    assert note in plan(changed, applied.host()).notes
    assert note in apply(changed, applied.host()).plan.notes
    destroy(applied.host())
    assert file.read_text() == "[Service]\nNice=5\n"


def test_a_drop_in_for_names_that_begin_alike_is_about_each_of_them(applied: Machine) -> None:
    file = applied.real(f"{UNITS}/modelgrid-model-.service.d/10-mine.conf")
    file.parent.mkdir()
    file.write_text("")
    assert [item.unit for item in find_drift(applied.host()).findings] == [A, B]


def test_a_drop_in_of_the_distribution_for_every_service_is_none_of_ours(applied: Machine) -> None:
    file = applied.real("/usr/lib/systemd/system/service.d/10-timeout-abort.conf")
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert found(applied) == []


def test_a_mask_is_a_mask_and_no_failure(applied: Machine) -> None:
    failed(applied)
    applied.systemd.masked.add(B)
    assert found(applied) == [("masked", B)]
    assert not status(applied.host()).amiss


def test_status_is_amiss_when_a_wanted_unit_is_down_or_any_failed(applied: Machine) -> None:
    assert not status(applied.host()).amiss
    stopped(applied)
    assert status(applied.host()).amiss


def test_a_unit_that_systemd_read_from_older_files_needs_a_reload(applied: Machine) -> None:
    applied.systemd.stale = {B}
    assert found(applied) == [("needs-reload", B)]


def test_a_change_that_was_killed_is_told(applied: Machine) -> None:
    Records(applied.files, applied.layout).begin(Pending(source=1, target=2, phase=Phase.FORWARD))
    assert found(applied) == [("interrupted", "")]


LABELLED = tuple(
    replace(item, content=item.content.replace("[Container]\n", "[Container]\nLabel=io.modelgrid.config-hash=11\n"))
    if item.path.endswith(".container")
    else item
    for item in TREE
)


def test_a_container_of_its_unit_and_its_image_is_as_it_should_be(machine: Machine) -> None:
    apply(LABELLED, machine.host())
    machine.processes.images = {"localhost/llama:1": "sha256:1"}
    machine.processes.containers = [container(A, **{"io.modelgrid.config-hash": "11"})]
    assert found(machine) == []


def test_a_container_with_another_hash_was_made_by_older_definitions(machine: Machine) -> None:
    apply(LABELLED, machine.host())
    machine.processes.containers = [container(A, **{"io.modelgrid.config-hash": "22"})]
    assert found(machine) == [("container-outdated", A)]


@pytest.mark.parametrize("pulled", ["", "example.org/serve:1"])
def test_an_image_name_that_means_another_image_by_now_has_moved(machine: Machine, pulled: str) -> None:
    apply(tree(["a"], pulled=pulled), machine.host())
    machine.processes.images = {pulled or "localhost/llama:1": "sha256:2"}
    machine.processes.containers = [container(A)]
    assert found(machine) == [("image-moved", A)]


def test_containers_without_a_unit_that_runs_them_are_named_and_foreign_ones_are_not(applied: Machine) -> None:
    applied.processes.containers = [
        container("modelgrid-model-old.service", state="exited"),
        container("theirs.service"),
        container("renamed.service", **{"io.modelgrid.managed": "true"}),
    ]
    findings = find_drift(applied.host()).findings
    assert [item.kind for item in findings] == [DriftKind.CONTAINER_UNOWNED] * 2
    assert [item.mend for item in findings] == ["podman rm --force modelgrid-model-old", "podman rm --force renamed"]


def test_a_container_that_runs_on_though_its_unit_is_down_is_owned_by_nobody(applied: Machine) -> None:
    applied.systemd.running.pop(A)
    applied.processes.containers = [container(A)]
    assert found(applied) == [("not-running", A), ("container-unowned", A)]


def on_a_gpu(text: str) -> Sequence[Artifact]:
    return tuple(
        replace(item, content=item.content.replace("[Container]\n", f"[Container]\nAddDevice={text}\n"))
        if item.path.endswith(".container")
        else item
        for item in TREE
    )


def test_a_device_that_no_specification_names_any_more_is_missing(machine: Machine) -> None:
    machine.real("/etc/cdi").mkdir(parents=True)
    specification = machine.real("/etc/cdi/n.json")
    specification.write_text(json.dumps({"kind": "nvidia.com/gpu", "devices": [{"name": "0"}]}))
    apply(on_a_gpu("nvidia.com/gpu=0"), machine.host())
    assert found(machine) == []
    specification.write_text(json.dumps({"kind": "nvidia.com/gpu", "devices": [{"name": "1"}]}))
    assert found(machine) == [("device-missing", A)]


def test_a_driver_that_was_replaced_is_told_until_the_next_apply(machine: Machine) -> None:
    gpu = on_a_gpu("/dev/nvidia0")
    version = machine.real("/sys/module/nvidia/version")
    version.parent.mkdir(parents=True)
    version.write_text("550.90\n")
    apply(gpu, machine.host())
    assert found(machine) == []
    version.write_text("560.35\n")
    [finding] = find_drift(machine.host()).findings
    assert finding.kind is DriftKind.DRIVER_CHANGED
    assert "560.35" in finding.message
    assert "550.90" in finding.message
    apply(gpu, machine.host())
    assert found(machine) == []
    before = machine.snapshot()
    apply(gpu, machine.host())
    assert machine.snapshot() == before


def test_a_driver_of_the_kernel_is_as_old_as_the_kernel(machine: Machine) -> None:
    machine.real("/sys/module/xe").mkdir(parents=True)
    release = machine.real("/proc/sys/kernel/osrelease")
    release.write_text("6.12.1\n")
    apply(on_a_gpu("/dev/dri/renderD128"), machine.host())
    release.write_text("6.12.2\n")
    assert found(machine) == [("driver-changed", "/sys/module/xe")]


def test_drivers_that_no_model_uses_are_not_recorded(machine: Machine) -> None:
    machine.real("/sys/module/nvidia").mkdir(parents=True)
    machine.real("/sys/module/nvidia/version").write_text("550.90\n")
    apply(TREE, machine.host())
    machine.real("/sys/module/nvidia/version").write_text("560.35\n")
    assert found(machine) == []


def test_without_roots_rights_it_says_what_it_could_not_see(machine: Machine) -> None:
    class Unreadable(FileSystem):
        def read(self, path: Path) -> bytes:
            if path.name == "keys.json":
                raise PermissionError(13, "Permission denied", str(path))
            return super().read(path)

    apply(TREE, machine.host())
    machine.processes.containers = [container("modelgrid-model-old.service")]
    drift = find_drift(replace(machine.host(), user=1000, files=Unreadable(machine.root)))
    assert drift.findings == ()
    assert [line.split()[0] for line in drift.unseen] == ["keys.json", "containers"]


def test_a_podman_that_does_not_answer_is_told_only_where_something_needs_it(machine: Machine) -> None:
    apply(tree((), ["b"]), machine.host())
    machine.processes.missing = {"podman"}
    assert find_drift(machine.host()) == Drift()
    machine.processes.missing = set()
    apply(TREE, machine.host())
    machine.processes.missing = {"podman"}
    assert "podman" in str(find_drift(machine.host()).unseen)


def test_a_rollback_is_no_drift(applied: Machine) -> None:
    apply(tree({"a": 1}, {"b": 1}), applied.host())
    rollback(applied.host())
    assert found(applied) == []


def test_metrics_have_a_line_for_each_kind_and_unit_and_replace_the_file_in_one_step(applied: Machine) -> None:
    stopped(applied)
    host = applied.host()
    folder = applied.real("/var/lib/metrics")
    folder.mkdir(parents=True)
    metrics.write_metrics(host, Path("/var/lib/metrics/modelgrid.prom"), status(host), find_drift(host))
    assert [path.name for path in folder.iterdir()] == ["modelgrid.prom"]
    lines = (folder / "modelgrid.prom").read_text().splitlines()
    assert f'modelgrid_drift{{kind="not-running",unit="{B}",model="b:latest"}} 1' in lines
    assert "modelgrid_drift_findings 1" in lines
    assert f'modelgrid_unit_up{{unit="{B}",model="b:latest"}} 0' in lines
    assert f'modelgrid_unit_up{{unit="{A}",model="a:latest"}} 1' in lines
    assert "modelgrid_generation 1" in lines
    assert "modelgrid_status_timestamp_seconds 1767323045.000" in lines
    assert all(line.startswith(("#", "modelgrid_")) for line in lines)
    samples = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(samples) == len(set(samples))


def test_two_findings_of_one_kind_about_one_unit_are_one_line_of_metrics(applied: Machine) -> None:
    twice = Finding(kind=DriftKind.DROP_IN, message="", mend="", unit='a"\\\n')
    text = metrics.render_metrics(status(applied.host()), Drift(findings=(twice, twice)), now=1.0)
    assert 'modelgrid_drift{kind="drop-in",unit="a\\"\\\\\\n",model=""} 2\n' in text


def test_a_folder_that_is_not_there_gets_no_metrics_and_a_sentence(applied: Machine) -> None:
    host = applied.host()
    with pytest.raises(HostError, match=r"cannot write the metrics to /var/lib/none/m.prom: No such file"):
        metrics.write_metrics(host, Path("/var/lib/none/m.prom"), status(host), Drift())


def test_a_link_of_another_in_the_place_of_ours_leads_elsewhere(applied: Machine) -> None:
    link = applied.real(f"{UNITS}/modelgrid.target.wants/{B}")
    link.unlink()
    link.symlink_to("/opt/b.service")
    [finding] = find_drift(applied.host()).findings
    assert finding.kind is DriftKind.LINK_ELSEWHERE
    assert "--adopt" in finding.mend
