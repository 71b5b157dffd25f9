from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.events import ApplyError, Event, EventKind
from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.observe import list_generations, plan, status
from modelgrid.apply.store.files import FileSystem, locked
from modelgrid.apply.store.retention import Retention
from modelgrid.errors import HostError, InternalError
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.trees import GATEWAY, NETWORK, TARGET, tree, unit_of

if TYPE_CHECKING:
    from tests.apply.fakes import Machine


def test_first_apply_starts_everything(machine: Machine) -> None:
    outcome = apply(tree(["a"], ["b"]), machine.host())
    assert outcome.generation == 1
    assert_runs(machine, tree(["a"], ["b"]))
    assert machine.pending() is None
    assert machine.systemd.running.keys() == {TARGET, GATEWAY, NETWORK, unit_of("a"), unit_of("b")}


def test_units_are_found_through_the_one_current_link(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    readlink = machine.files.readlink
    layout = machine.layout
    assert readlink(layout.current) == "generations/1"
    assert readlink(layout.quadlet_link) == "/etc/modelgrid/current/quadlets"
    assert readlink(layout.unit_link(GATEWAY)) == f"/etc/modelgrid/current/units/{GATEWAY}"
    wants = layout.unit_folder / "modelgrid.target.wants"
    assert set(machine.files.listdir(wants)) == {GATEWAY, unit_of("b")}
    assert readlink(layout.unit_folder / "multi-user.target.wants" / TARGET) == f"/etc/modelgrid/current/units/{TARGET}"


def test_only_the_owner_may_read_the_keys(machine: Machine) -> None:
    apply(tree(["a"], key_names=["team"]), machine.host())
    folder = machine.real("/etc/modelgrid/generations/1")
    assert folder.stat().st_mode & 0o777 == 0o755
    assert (folder / "keys.json").stat().st_mode & 0o777 == 0o600
    assert (folder / "routing.json").stat().st_mode & 0o777 == 0o644


def test_the_same_again_writes_nothing_and_touches_no_unit(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    machine.facts()
    before = machine.snapshot()
    outcome = apply(tree(["a"], ["b"]), machine.host())
    assert outcome.generation == 1
    assert outcome.plan.empty
    assert machine.snapshot() == before
    assert machine.facts() == []


def test_plan_and_status_write_nothing(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.facts()
    before = machine.snapshot()
    assert not plan(tree(["a", "b"]), machine.host()).empty
    assert status(machine.host()).generation == 1
    assert [item.number for item in list_generations(machine.host())] == [1]
    assert machine.snapshot() == before
    assert machine.facts() == []


def test_a_changed_model_is_restarted_and_no_other_unit(machine: Machine) -> None:
    apply(tree({"a": 4096}, {"b": 4096}), machine.host())
    machine.facts()
    apply(tree({"a": 8192}, {"b": 4096}), machine.host())
    assert machine.facts() == ["reload", f"restart {unit_of('a')}"]
    assert_runs(machine, tree({"a": 8192}, {"b": 4096}))


def test_a_second_model_joins_without_the_first_noticing(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.facts()
    apply(tree(["a", "b"]), machine.host())
    assert machine.facts() == ["reload", f"start {unit_of('b')}"]
    assert_runs(machine, tree(["a", "b"]))


def test_a_removed_model_is_stopped_while_systemd_still_knows_it(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    machine.facts()
    apply(tree(["a"]), machine.host())
    assert machine.facts() == [f"stop {unit_of('b')}", "reload"]
    assert machine.files.kind(machine.layout.unit_link(unit_of("b"))) is None
    assert_runs(machine, tree(["a"]))


def test_a_comment_makes_a_generation_and_restarts_nothing(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.facts()
    outcome = apply(tree(["a"], comment="a word for readers"), machine.host())
    assert outcome.generation == 2
    assert machine.facts() == ["reload"]


def test_new_routes_are_waited_for_and_restart_nothing(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.facts()
    events: list[Event] = []
    apply(tree(["a"], api="/v1/completions"), machine.host(), on_event=events.append)
    assert machine.facts() == ["reload"]
    assert any("127.0.0.1:8080" in event.message and event.unit == GATEWAY for event in events)


def test_a_gateway_that_does_not_take_new_routes_brings_the_old_back(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.gateway_deaf = True
    with pytest.raises(ApplyError, match=r"modelgrid-gateway\.service does not serve the new routes; generation 1"):
        apply(tree(["a"], api="/v1/completions"), machine.host())
    machine.gateway_deaf = False
    assert_runs(machine, tree(["a"]))


def test_new_keys_reload_the_gateway(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.facts()
    apply(tree(["a"], key_names=["team"]), machine.host())
    assert machine.facts() == ["reload", f"reload {GATEWAY}"]


def test_new_routes_are_no_job_for_the_gateway_sees_them_by_itself(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.facts()
    apply(tree(["a"], api="/v1/x"), machine.host())
    assert machine.facts() == ["reload"]


def test_a_changed_network_is_made_anew_with_its_containers_down(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    machine.facts()
    apply(tree(["a"], ["b"], subnet="10.144.0.0/16"), machine.host())
    facts = machine.facts()
    assert set(facts[:2]) == {f"stop {unit_of('a')}", f"stop {NETWORK}"}
    assert facts[2] == "reload"
    assert set(facts[3:]) == {f"start {unit_of('a')}", f"start {NETWORK}"}
    assert machine.processes.networks_removed == ["modelgrid"]
    assert_runs(machine, tree(["a"], ["b"], subnet="10.144.0.0/16"))


def test_a_new_image_is_pulled_before_its_model_goes_down(machine: Machine) -> None:
    apply(tree(["a"], pulled="example.org/serve:1"), machine.host())
    machine.facts()
    apply(tree(["a"], pulled="example.org/serve:2"), machine.host())
    old, new = (f"modelgrid-image-example.org-serve-{number}-image.service" for number in (1, 2))
    assert machine.facts() == ["reload", f"start {new}", f"restart {unit_of('a')}", f"stop {old}"]
    assert_runs(machine, tree(["a"], pulled="example.org/serve:2"))


def test_an_image_that_cannot_be_pulled_takes_no_model_down(machine: Machine) -> None:
    apply(tree(["a"], pulled="example.org/serve:1"), machine.host())
    machine.facts()
    machine.systemd.broken = {"Image=example.org/serve:2"}
    with pytest.raises(ApplyError, match=r"the image example\.org/serve:2 cannot be pulled; generation 1 runs again"):
        apply(tree(["a"], pulled="example.org/serve:2"), machine.host())
    assert f"restart {unit_of('a')}" not in machine.facts()
    assert_runs(machine, tree(["a"], pulled="example.org/serve:1"))


def test_a_model_that_does_not_start_brings_the_generation_before_back(machine: Machine) -> None:
    apply(tree({"a": 4096, "b": 4096}), machine.host())
    machine.systemd.broken = {"--ctx-size 8192"}
    machine.systemd.why = "timeout"
    events: list[Event] = []
    with pytest.raises(ApplyError) as caught:
        apply(tree({"a": 8192, "b": 1024}), machine.host(), on_event=events.append)
    assert caught.value.message == "model a:latest was not ready in time; generation 1 runs again"
    assert [(item.model, item.log) for item in caught.value.failures] == [
        ("a:latest", ("loading weights", "out of memory"))
    ]
    assert [event.message for event in events if event.kind is EventKind.LOG] == ["loading weights", "out of memory"]
    assert_runs(machine, tree({"a": 4096, "b": 4096}))
    assert [item.number for item in list_generations(machine.host())] == [1]
    assert machine.pending() is None


def test_a_failed_first_apply_leaves_no_unit_and_no_generation(machine: Machine) -> None:
    machine.systemd.broken = {"[Container]"}
    with pytest.raises(ApplyError, match="model a:latest failed to start; nothing runs, as before"):
        apply(tree(["a"], ["b"]), machine.host())
    assert machine.systemd.running == {}
    assert machine.systemd.failed == set()
    assert machine.current() is None
    assert list_generations(machine.host()) == ()
    assert machine.files.kind(machine.layout.quadlet_link) is None
    assert machine.files.kind(machine.layout.wants_link) is None
    assert machine.files.listdir(machine.layout.unit_folder) == ("multi-user.target.wants",)
    machine.systemd.broken = set()
    apply(tree(["a"], ["b"]), machine.host())
    assert_runs(machine, tree(["a"], ["b"]))


def test_ctrl_c_while_waiting_brings_the_generation_before_back(machine: Machine) -> None:
    apply(tree({"a": 4096}), machine.host())

    def interrupt(event: Event) -> None:
        if event.kind is EventKind.RESULT and machine.current() == 2 and not interrupted:
            interrupted.append(event)
            raise KeyboardInterrupt

    interrupted: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        apply(tree({"a": 8192}), machine.host(), on_event=interrupt)
    assert_runs(machine, tree({"a": 4096}))
    assert machine.pending() is None


def test_a_unit_that_failed_since_is_started_without_a_new_generation(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.systemd.running.pop(unit_of("a"))
    machine.systemd.failed.add(unit_of("a"))
    machine.facts()
    outcome = apply(tree(["a"]), machine.host())
    assert outcome.generation == 1
    assert [action.reasons for action in outcome.plan.actions] == [("it failed",)]
    assert machine.facts() == [f"start {unit_of('a')}"]
    assert_runs(machine, tree(["a"]))


def test_a_link_that_someone_removed_is_made_again(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    machine.real(f"/etc/systemd/system/{unit_of('b')}").unlink()
    outcome = apply(tree(["a"], ["b"]), machine.host())
    assert outcome.plan.links == (f"/etc/systemd/system/{unit_of('b')}",)
    assert_runs(machine, tree(["a"], ["b"]))
    assert apply(tree(["a"], ["b"]), machine.host()).plan.empty


def test_boot_link_is_not_made_again_once_it_was_taken_away(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.real(f"/etc/systemd/system/multi-user.target.wants/{TARGET}").unlink()
    apply(tree(["a", "b"]), machine.host())
    assert machine.files.kind(machine.layout.wants_link) is None
    assert not status(machine.host()).boots


def test_a_masked_unit_stays_down(machine: Machine) -> None:
    apply(tree(["a", "b"]), machine.host())
    machine.systemd.masked.add(unit_of("b"))
    machine.systemd.running.pop(unit_of("b"))
    machine.real(f"/etc/systemd/system/{unit_of('b')}").symlink_to("/dev/null")
    outcome = apply(tree({"a": 8192, "b": 8192}), machine.host())
    assert outcome.plan.notes == (
        f"{unit_of('b')} is masked and stays down; to allow it: systemctl unmask {unit_of('b')}",
    )
    assert unit_of("b") not in machine.systemd.running
    destroy(machine.host())
    assert machine.files.readlink(machine.layout.unit_link(unit_of("b"))) == "/dev/null"


def test_a_second_apply_is_told_at_once_that_another_is_running(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    before = machine.snapshot()
    with locked(FileSystem(machine.root), machine.layout.lock), pytest.raises(HostError, match="another modelgrid"):
        apply(tree(["a", "b"]), machine.host())
    assert machine.snapshot() == before


@pytest.mark.parametrize("kind", ["unit", "override", "quadlet folder", "quadlet elsewhere", "current"])
def test_a_foreign_file_in_the_way_is_named_and_nothing_is_written(machine: Machine, kind: str) -> None:
    path = {
        "unit": f"/etc/systemd/system/{GATEWAY}",
        "override": f"/etc/systemd/system/{unit_of('a')}",
        "quadlet folder": "/etc/containers/systemd/modelgrid",
        "quadlet elsewhere": "/etc/containers/systemd/mine/modelgrid-model-a.container",
        "current": "/etc/modelgrid/current",
    }[kind]
    machine.real(path).parent.mkdir(parents=True, exist_ok=True)
    machine.real(path).write_text("mine")
    before = machine.snapshot()
    with pytest.raises(HostError, match=f"not made by ModelGrid: {path}"):
        apply(tree(["a"]), machine.host())
    assert machine.snapshot() == before


def test_what_the_generator_refuses_is_quoted_and_nothing_is_written(machine: Machine) -> None:
    before = machine.snapshot()
    machine.processes.generator_stderr = (
        "quadlet-generator[7]: Loading source unit file /x\n"
        "quadlet-generator[7]: converting \"x.container\": unsupported key 'Exce' in group 'Container'\n"
    )
    with pytest.raises(InternalError, match="unsupported key 'Exce' in group 'Container'"):
        apply(tree(["a"]), machine.host())
    assert machine.snapshot() == before


def test_a_unit_that_the_generator_leaves_out_is_named(machine: Machine) -> None:
    machine.processes.unmade = {unit_of("a")}
    with pytest.raises(InternalError, match=f"it makes no {unit_of('a')}"):
        apply(tree(["a"]), machine.host())


def test_any_line_of_systemd_about_our_units_refuses_them(machine: Machine) -> None:
    machine.processes.verify_stderr = f"/tmp/x/{GATEWAY}:3: Unknown key 'Frobnicate' in section [Service], ignoring.\n"
    with pytest.raises(InternalError, match="Unknown key 'Frobnicate'"):
        apply(tree(["a"]), machine.host())


def test_a_line_of_systemd_about_another_unit_refuses_nothing(machine: Machine) -> None:
    machine.processes.verify_stderr = "/usr/lib/systemd/system/plymouth-start.service:17: Unit uses KillMode=none.\n"
    apply(tree(["a"]), machine.host())
    assert_runs(machine, tree(["a"]))


def test_rollback_goes_to_the_generation_that_the_current_took_over_from(machine: Machine) -> None:
    for size in (1024, 2048, 4096):
        apply(tree({"a": size}), machine.host())
    assert rollback(machine.host()).generation == 2
    assert_runs(machine, tree({"a": 2048}))
    assert rollback(machine.host()).generation == 1
    assert_runs(machine, tree({"a": 1024}))
    apply(tree({"a": 512}), machine.host())
    assert machine.current() == 4
    assert rollback(machine.host()).generation == 1
    assert rollback(machine.host(), to=3).generation == 3
    assert_runs(machine, tree({"a": 4096}))
    with pytest.raises(HostError, match="there is no generation 9"):
        rollback(machine.host(), to=9)


def test_a_failed_rollback_keeps_both_generations(machine: Machine) -> None:
    apply(tree({"a": 1024}), machine.host())
    apply(tree({"a": 2048}), machine.host())
    machine.systemd.broken = {"--ctx-size 1024"}
    with pytest.raises(ApplyError, match="generation 2 runs again"):
        rollback(machine.host())
    assert_runs(machine, tree({"a": 2048}))
    assert [item.number for item in list_generations(machine.host())] == [1, 2]


def test_an_altered_generation_is_not_rolled_back_to(machine: Machine) -> None:
    apply(tree({"a": 1024}), machine.host())
    apply(tree({"a": 2048}), machine.host())
    machine.real("/etc/modelgrid/generations/1/routing.json").write_text("{}")
    with pytest.raises(HostError, match=r"generation 1 was altered: .*routing.json was altered"):
        rollback(machine.host())


def test_old_generations_go_but_never_the_current_or_the_one_before(machine: Machine) -> None:
    for size in range(1, 6):
        apply(tree({"a": size}), machine.host(), retention=Retention(keep=3))
    assert [item.number for item in list_generations(machine.host())] == [3, 4, 5]
    rollback(machine.host(), to=3)
    for size in (11, 12):
        apply(tree({"a": size}), machine.host(), retention=Retention(keep=1))
    assert [item.number for item in list_generations(machine.host())] == [6, 7]


def test_destroy_leaves_nothing_of_ours_and_all_of_others(machine: Machine) -> None:
    foreign = machine.real("/etc/systemd/system/sshd.service")
    foreign.write_text("mine")
    apply(tree(["a"], ["b"]), machine.host())
    apply(tree(["a"], ["c"]), machine.host())
    assert destroy(machine.host())
    assert machine.processes.networks_removed == ["modelgrid"]
    assert machine.processes.containers_removed == ["modelgrid-model-a"]
    assert foreign.read_text() == "mine"
    foreign.unlink()
    assert_nothing_left(machine)
    assert not destroy(machine.host())
    apply(tree(["a"]), machine.host())
    assert machine.current() == 1


def test_destroy_keeps_the_configuration_beside_the_generations(machine: Machine) -> None:
    machine.real("/etc/modelgrid").mkdir()
    machine.real("/etc/modelgrid/modelgrid.yaml").write_text("version: 1\n")
    apply(tree(["a"]), machine.host())
    destroy(machine.host())
    assert machine.files.listdir(machine.layout.base) == ("modelgrid.yaml",)


def test_destroy_stops_units_before_their_files_go(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    machine.facts()
    destroy(machine.host())
    facts = machine.facts()
    assert facts[-1] == "reload"
    stopped = facts[: facts.index("reload")]
    assert {f"stop {name}" for name in (TARGET, GATEWAY, NETWORK, unit_of("a"), unit_of("b"))} == set(stopped)


def test_status_tells_model_state_and_generation(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    machine.systemd.running.pop(unit_of("a"))
    machine.systemd.failed.add(unit_of("a"))
    found = status(machine.host())
    assert (found.generation, found.confirmed, found.interrupted, found.boots) == (1, 1, False, True)
    states = {item.unit: (item.model, item.state.active) for item in found.units}
    assert states[unit_of("a")] == ("a:latest", "failed")
    assert states[GATEWAY] == ("", "active")
