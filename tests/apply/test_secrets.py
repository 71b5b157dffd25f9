"""A rotated secret restarts its users, all of them and nobody else, and its value is nowhere."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.events import ApplyError
from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.observe import plan
from modelgrid.errors import HostError
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.equipment import equip, put_file
from tests.apply.fakes import Killed, Machine, Steps
from tests.apply.test_treechecks import tree_of, with_lines
from tests.apply.trees import container, native, unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.emit.artifact import Artifact

CREDENTIAL = "/etc/secrets/licence"


def users(*, on_change: str = "", context: int = 4096) -> tuple[Artifact, ...]:
    """Two models with a secret of podman each, one with a credential, one with none."""
    told = [f"OnChange={on_change}"] if on_change else []
    a = with_lines(container("a", context=context), "Container", "Secret=token,type=env,target=TOKEN")
    a = with_lines(a, "X-ModelGrid", *told) if told else a
    b = with_lines(container("b"), "Container", "Secret=other,type=mount,target=/run/secrets/other")
    c = with_lines(native("c"), "Service", f"LoadCredential=licence:{CREDENTIAL}")
    return tree_of(a, b, c, native("d"))


def rotate(machine: Machine, name: str = "token") -> None:
    machine.processes.secrets[name] += "-anew"


@pytest.fixture
def applied(machine: Machine) -> Machine:
    equip(machine, users())
    apply(users(), machine.host())
    machine.facts()
    return machine


def actions(machine: Machine, artifacts: Sequence[Artifact]) -> list[tuple[str, str, tuple[str, ...]]]:
    found = plan(artifacts, machine.host())
    return [(item.verb.name, item.unit, item.reasons) for item in found.actions]


def test_a_rotated_secret_restarts_its_user_and_nobody_else(applied: Machine) -> None:
    assert plan(users(), applied.host()).empty
    rotate(applied)
    assert actions(applied, users()) == [("RESTART", unit_of("a"), ('secret "token" was rotated',))]
    outcome = apply(users(), applied.host())
    assert applied.facts() == [f"restart {unit_of('a')}"]
    assert outcome.generation == 1
    assert plan(users(), applied.host()).empty


def test_a_credential_that_was_written_anew_restarts_its_user(applied: Machine) -> None:
    put_file(applied, f"{CREDENTIAL}.new", "text").replace(applied.real(CREDENTIAL))
    assert actions(applied, users()) == [("RESTART", unit_of("c"), ('secret "licence" was rotated',))]
    apply(users(), applied.host())
    assert plan(users(), applied.host()).empty


def test_a_rotation_is_one_more_reason_of_a_change(applied: Machine) -> None:
    rotate(applied)
    ((_, unit, reasons),) = actions(applied, users(context=8192))
    assert unit == unit_of("a")
    assert len(reasons) == 2
    apply(users(context=8192), applied.host())
    assert plan(users(context=8192), applied.host()).empty


def test_a_rollback_gives_the_present_value_too(applied: Machine) -> None:
    apply(users(context=8192), applied.host())
    applied.facts()
    rotate(applied, "other")
    rollback(applied.host())
    assert sorted(applied.facts()) == ["reload", f"restart {unit_of('a')}", f"restart {unit_of('b')}"]
    assert plan(users(), applied.host()).empty


def test_a_no_op_writes_nothing(applied: Machine) -> None:
    before = applied.snapshot()
    assert apply(users(), applied.host()).plan.empty
    assert applied.snapshot() == before


def test_a_user_that_does_not_come_up_with_the_new_value_is_tried_again(applied: Machine) -> None:
    rotate(applied)
    applied.systemd.broken = {"Secret=token"}
    with pytest.raises(ApplyError, match="model a:latest failed to start; generation 1 stays current"):
        apply(users(), applied.host())
    applied.systemd.broken = set()
    ((verb, unit, reasons),) = actions(applied, users())
    assert (verb, unit) == ("START", unit_of("a"))
    assert 'secret "token" was rotated' in reasons
    apply(users(), applied.host())
    assert plan(users(), applied.host()).empty


def test_one_that_goes_on_by_hand_waits_until_it_is_restarted(machine: Machine) -> None:
    artifacts = users(on_change="manual")
    equip(machine, artifacts)
    apply(artifacts, machine.host())
    rotate(machine)
    # another change must not make it forgotten
    others = tuple(item for item in artifacts if unit_of("d") not in item.path)
    apply(others, machine.host())
    waiting = plan(others, machine.host()).waiting
    assert [(item.unit, item.told, item.reasons) for item in waiting] == [
        (unit_of("a"), True, ('secret "token" was rotated',))
    ]
    machine.systemd.invocations[unit_of("a")] = "of another run"
    assert plan(others, machine.host()).waiting == ()


def test_one_that_reloads_is_restarted_for_a_secret(machine: Machine) -> None:
    artifacts = users(on_change="reload")
    equip(machine, artifacts)
    apply(artifacts, machine.host())
    rotate(machine)
    assert [verb for verb, _, _ in actions(machine, artifacts)] == ["RESTART"]


def test_a_secret_that_podman_does_not_tell_of_restarts_nobody(applied: Machine) -> None:
    applied.processes.secrets.clear()
    applied.real(CREDENTIAL).unlink()
    assert plan(users(), applied.host()).empty
    equip(applied, users())
    applied.real(CREDENTIAL).write_text("a new one")
    assert [unit for _, unit, _ in actions(applied, users())] == [unit_of("c")]


def test_a_plan_without_rights_leaves_out_what_it_cannot_see(applied: Machine) -> None:
    rotate(applied)
    found = plan(users(), dataclasses.replace(applied.host(), user=1000))
    assert found.empty
    assert [item.name for item in found.secrets] == ["token", "other", "licence"]


def test_the_plan_names_secrets_and_tells_nothing_of_their_values(applied: Machine) -> None:
    put_file(applied, CREDENTIAL, "canary-value", mode=0o600)
    apply(users(), applied.host())
    data = plan(users(), applied.host()).to_dict()
    assert data["secrets"] == [
        {"unit": unit_of("a"), "model": "a:latest", "name": "token", "kind": "podman"},
        {"unit": unit_of("b"), "model": "b:latest", "name": "other", "kind": "podman"},
        {"unit": unit_of("c"), "model": "c:latest", "name": "licence", "kind": "file"},
    ]
    written = [text for name, (_, text) in applied.snapshot().items() if "etc/secrets" not in name]
    assert not any("canary" in text for text in [*written, json.dumps(data)])


def test_destroy_forgets(applied: Machine) -> None:
    applied.real("/etc/modelgrid/state/.secrets.json.new").touch()
    destroy(applied.host())
    assert_nothing_left(applied)


def test_a_record_of_another_form_is_told(applied: Machine) -> None:
    record = applied.real("/etc/modelgrid/state/secrets.json")
    assert json.loads(record.read_text())["units"].keys() == {unit_of("a"), unit_of("b"), unit_of("c")}
    record.write_text('{"record_version": 1, "units": {"a": 1}}')
    with pytest.raises(HostError, match=r"secrets\.json is not a record of this ModelGrid"):
        plan(users(), applied.host())


@pytest.mark.parametrize("kill", [True, False])
@pytest.mark.parametrize("context", [4096, 8192])
def test_stopped_anywhere_the_next_apply_leaves_no_user_with_the_old_value(kill: bool, context: int) -> None:  # noqa: FBT001  a parameter of the test
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        for point in range(1, 500):
            root = Path(folder, str(point))
            root.mkdir()
            machine = Machine(root)
            equip(machine, users())
            apply(users(), machine.host())
            before = dict(machine.systemd.invocations)
            rotate(machine)
            steps = Steps(kill_at=point) if kill else Steps(fail_at=point, code=errno.ENOSPC)
            try:
                apply(users(context=context), machine.host(steps))
            except (Killed, HostError):
                apply(users(context=context), machine.host())
            assert_runs(machine, users(context=context))
            changed = {unit for unit in before if machine.systemd.invocations[unit] != before[unit]}
            assert changed == {unit_of("a")}
            assert plan(users(context=context), machine.host()).empty
            if len(steps.taken) < point:
                assert point > 5
                return
