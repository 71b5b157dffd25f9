"""What is in the way is taken over when that is asked for, kept, and put back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.execute import apply, confirm, destroy, recover, rollback
from modelgrid.apply.observe import plan
from modelgrid.apply.store.files import FileSystem
from modelgrid.errors import HostError
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.foreign import (
    FILES,
    FOLDER,
    GATEWAY,
    PLACES,
    assert_foreign_is_back,
    assert_nothing_foreign_is_lost,
    put_foreign,
)
from tests.apply.trees import tree, unit_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apply.fakes import Machine

TREE = tree(["a"], ["b"])
ADOPTED = "/etc/modelgrid/state/adopted"


@pytest.fixture
def occupied(machine: Machine) -> Machine:
    put_foreign(machine)
    return machine


def test_without_being_asked_it_is_a_conflict_that_names_each_and_the_way_out(occupied: Machine) -> None:
    before = occupied.snapshot()
    [problem] = plan(TREE, occupied.host()).problems
    assert all(place in problem.message for place in PLACES)
    assert "--adopt" in problem.hint
    with pytest.raises(HostError, match="in the way"):
        apply(TREE, occupied.host())
    assert occupied.snapshot() == before


def test_a_plan_names_what_is_taken_over_and_what_is_stopped_for_it_and_writes_nothing(occupied: Machine) -> None:
    before = occupied.snapshot()
    shown = plan(TREE, occupied.host(), adopt=True)
    assert shown.problems == ()
    assert shown.adopts == tuple(sorted(PLACES))
    assert shown.to_dict()["adopts"] == sorted(PLACES)
    done = [(action.verb.name.lower(), action.unit) for action in shown.actions]
    assert done[:3] == [
        ("stop", "modelgrid-gateway.service"),
        ("stop", "modelgrid-model-a.service"),
        ("stop", "theirs.service"),
    ]
    assert ("start", "modelgrid-model-a.service") in done
    assert occupied.snapshot() == before


def test_it_is_taken_over_kept_and_put_back_by_destroy(occupied: Machine) -> None:
    events: list[str] = []
    outcome = apply(TREE, occupied.host(), adopt=True, on_event=lambda event: events.append(event.message))
    assert_runs(occupied, TREE)
    assert outcome.plan.adopts == tuple(sorted(PLACES))
    for place in PLACES:
        assert f"took over {place}, which is kept as {ADOPTED}/1{place}" in events
    assert {path: occupied.real(f"{ADOPTED}/1{path}").read_text() for path in FILES} == FILES
    stops = [fact for fact in occupied.facts() if fact.startswith(("stop", "reload"))]
    assert stops[:3] == ["stop modelgrid-gateway.service", "stop modelgrid-model-a.service", "stop theirs.service"]
    destroy(occupied.host())
    assert {path: occupied.real(path).read_text() for path in FILES} == FILES
    assert not occupied.real("/etc/modelgrid").exists()


def test_the_plan_is_what_happens(occupied: Machine) -> None:
    shown = plan(TREE, occupied.host(), adopt=True)
    assert apply(TREE, occupied.host(), adopt=True).plan == shown


def test_a_second_apply_has_nothing_to_do_and_later_ones_keep_what_was_taken_over(occupied: Machine) -> None:
    apply(TREE, occupied.host(), adopt=True)
    before = occupied.snapshot()
    assert apply(TREE, occupied.host(), adopt=True).plan.empty
    assert occupied.snapshot() == before
    for context in range(1, 13):
        apply(tree({"a": context}, ["b"]), occupied.host())
    apply(tree((), ["b"]), occupied.host())
    assert_nothing_foreign_is_lost(occupied)
    destroy(occupied.host())
    assert {path: occupied.real(path).read_text() for path in FILES} == FILES


def test_an_apply_that_fails_puts_it_back_and_starts_what_ran(occupied: Machine) -> None:
    occupied.systemd.broken = {"--ctx-size 7"}
    with pytest.raises(HostError, match="nothing runs, as before"):
        apply(tree({"a": 7}, ["b"]), occupied.host(), adopt=True)
    assert_foreign_is_back(occupied)
    assert occupied.current() is None
    occupied.systemd.broken = set()
    apply(TREE, occupied.host(), adopt=True)
    assert_runs(occupied, TREE)


def test_an_upgrade_that_fails_puts_back_what_it_took_over_and_nothing_else(machine: Machine) -> None:
    old = tree((), ["b"])
    foreign = machine.real(GATEWAY)
    foreign.write_text("theirs")
    apply(old, machine.host(), adopt=True)
    quadlet = machine.real("/etc/containers/systemd/modelgrid-model-a.container")
    quadlet.parent.mkdir()
    quadlet.write_text("[Container]\n")
    machine.systemd.broken = {"--ctx-size 7"}
    with pytest.raises(HostError, match="generation 1 runs again"):
        apply(tree({"a": 7}, ["b"]), machine.host(), adopt=True)
    assert_runs(machine, old)
    assert quadlet.read_text() == "[Container]\n"
    assert machine.real(f"{ADOPTED}/1{GATEWAY}").read_text() == "theirs"


@pytest.mark.parametrize("unit", ["modelgrid-gateway.service", unit_of("a")])
def test_a_file_that_took_the_place_of_ours_is_taken_over_without_a_new_generation(machine: Machine, unit: str) -> None:
    apply(TREE, machine.host())
    place = machine.real(f"/etc/systemd/system/{unit}")
    place.unlink(missing_ok=True)
    place.write_text("[Service]\nExecStart=/usr/bin/theirs\n")
    machine.systemd.daemon_reload()
    machine.facts()
    assert apply(TREE, machine.host(), adopt=True).generation == 1
    assert_runs(machine, TREE)
    assert [fact for fact in machine.facts() if unit in fact] == [f"stop {unit}", f"start {unit}"]
    assert machine.real(f"{ADOPTED}/1/etc/systemd/system/{unit}").read_text().endswith("theirs\n")
    assert apply(TREE, machine.host()).plan.empty


def test_the_same_place_may_be_taken_over_twice_and_both_are_kept(machine: Machine) -> None:
    for text in ("first", "second"):
        place = machine.real(GATEWAY)
        place.unlink(missing_ok=True)
        place.write_text(text)
        apply(TREE, machine.host(), adopt=True)
    kept = machine.real(f"{ADOPTED}/1/etc/systemd/system")
    assert sorted(path.read_text() for path in kept.iterdir()) == ["first", "second"]
    destroy(machine.host())
    # one of them has the place, the other stays where it is kept
    assert machine.real(GATEWAY).read_text() == "second"
    assert machine.real(f"{ADOPTED}/1{GATEWAY}").read_text() == "first"


def test_a_foreign_link_is_taken_over_as_a_link(machine: Machine) -> None:
    place = machine.real(GATEWAY)
    place.symlink_to("/opt/theirs.service")
    apply(TREE, machine.host(), adopt=True)
    assert str(machine.real(f"{ADOPTED}/1{GATEWAY}").readlink()) == "/opt/theirs.service"
    destroy(machine.host())
    assert str(place.readlink()) == "/opt/theirs.service"


def test_what_has_no_place_to_go_back_to_stays_where_it_is_kept_and_is_told(occupied: Machine) -> None:
    apply(TREE, occupied.host(), adopt=True)
    occupied.real(GATEWAY).unlink()
    occupied.real(GATEWAY).write_text("newer")
    events: list[str] = []
    destroy(occupied.host(), on_event=lambda event: events.append(event.message))
    assert occupied.real(GATEWAY).read_text() == "newer"
    assert occupied.real(f"{ADOPTED}/1{GATEWAY}").read_text() == FILES[GATEWAY]
    assert f"{ADOPTED}/1{GATEWAY} is not put back: something else is at {GATEWAY}" in events
    assert occupied.real(f"{FOLDER}/notes/README").read_text() == "mine"
    occupied.real(GATEWAY).unlink()
    apply(TREE, occupied.host(), adopt=True)
    assert_runs(occupied, TREE)
    destroy(occupied.host())
    assert occupied.real(GATEWAY).read_text() == FILES[GATEWAY]
    assert_nothing_left_but_foreign(occupied)


def assert_nothing_left_but_foreign(machine: Machine) -> None:
    assert not machine.real("/etc/modelgrid").exists()
    assert machine.systemd.running == {}


def test_a_mask_is_the_administrators_word_and_is_not_taken_over(machine: Machine) -> None:
    machine.real(GATEWAY).symlink_to("/dev/null")
    machine.systemd.masked = {"modelgrid-gateway.service"}
    assert plan(TREE, machine.host(), adopt=True).adopts == ()


def test_what_is_on_another_file_system_is_not_taken_over(machine: Machine) -> None:
    class Elsewhere(FileSystem):
        def device(self, path: Path) -> int:
            return 1 if str(path).startswith("/run/") else 2

    place = machine.real("/run/containers/systemd/modelgrid-model-a.container")
    place.parent.mkdir(parents=True)
    place.write_text("theirs")
    host = replace(machine.host(), files=Elsewhere(machine.root))
    [problem] = plan(TREE, host, adopt=True).problems
    assert "/run/containers/systemd/modelgrid-model-a.container" in problem.message
    assert "--adopt" not in problem.hint


def test_a_file_where_our_own_folders_are_is_never_taken_over(machine: Machine) -> None:
    machine.real("/etc/modelgrid").mkdir()
    machine.real("/etc/modelgrid/state").write_text("mine")
    with pytest.raises(HostError, match=r"in the way.*: /etc/modelgrid/state"):
        apply(TREE, machine.host(), adopt=True)


def test_a_rollback_leaves_what_was_taken_over_where_it_is_kept(machine: Machine) -> None:
    apply(tree((), ["b"]), machine.host())
    place = machine.real("/etc/containers/systemd/modelgrid-model-a.container")
    place.parent.mkdir()
    place.write_text("[Container]\n")
    apply(TREE, machine.host(), adopt=True)
    rollback(machine.host())
    assert not place.exists()
    destroy(machine.host())
    assert place.read_text() == "[Container]\n"


def test_a_record_of_another_version_is_refused(machine: Machine) -> None:
    machine.real(GATEWAY).write_text("theirs")
    apply(TREE, machine.host(), adopt=True)
    path = machine.real(f"{ADOPTED}/1.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "record_version": 2}))
    with pytest.raises(HostError, match=r"adopted/1.json is not a record of this ModelGrid"):
        destroy(machine.host())


def test_destroy_leaves_nothing_where_nothing_was_taken_over(machine: Machine) -> None:
    apply(TREE, machine.host(), adopt=True)
    destroy(machine.host())
    assert_nothing_left(machine)


def test_a_change_on_probation_that_comes_undone_starts_again_what_ran(occupied: Machine) -> None:
    apply(TREE, occupied.host(), adopt=True, probation=300)
    assert recover(occupied.host(), expired=1)
    assert_foreign_is_back(occupied)


def test_a_change_that_is_confirmed_forgets_what_ran(occupied: Machine) -> None:
    apply(TREE, occupied.host(), adopt=True, probation=300)
    kept = occupied.real(f"{ADOPTED}/1.json")
    assert json.loads(kept.read_text())["running"]
    assert confirm(occupied.host()) == 1
    assert json.loads(kept.read_text())["running"] == []
