"""A plan in a file is done as it was shown, or not at all: each thing that it counts on is moved in turn."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid import __version__
from modelgrid.apply.execute import apply, destroy, rollback
from modelgrid.apply.observe import plan
from modelgrid.apply.planning.basis import read_basis
from modelgrid.apply.planning.plan_file import SavedPlan, StalePlanError, check_basis, dump_saved, load_saved
from modelgrid.apply.store.records import Pending, Phase, Records
from modelgrid.cli.plan_files import digests
from modelgrid.errors import ConfigError, HostError
from modelgrid.ir import Scope
from tests.apply.checks import assert_nothing_left, assert_runs
from tests.apply.fakes import Machine
from tests.apply.trees import GATEWAY, tree, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from modelgrid.emit.artifact import Artifact

FACTS = {"podman": "5.4.2", "systemd": "257", "the set of GPUs": "0 NVIDIA L4 GPU-0"}
CONFIG = "/root/modelgrid.yaml"
LOCK = "/root/modelgrid.lock"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    for path, text in (
        ("/etc/machine-id", "a" * 32),
        ("/proc/sys/kernel/random/boot_id", "first"),
        (CONFIG, "version: 1\n"),
    ):
        machine.real(path).parent.mkdir(parents=True, exist_ok=True)
        machine.real(path).write_text(f"{text}\n")
    return machine


def hashes(machine: Machine) -> Mapping[str, str]:
    return digests([str(machine.real(path)) for path in (CONFIG, LOCK)])


def save(machine: Machine, desired: Sequence[Artifact]) -> SavedPlan:
    host = machine.host()
    shown = plan(desired, host).to_dict()
    basis = read_basis(host, desired, facts=FACTS, files=hashes(machine))
    saved = load_saved(dump_saved(shown, desired, basis, scope=Scope.SYSTEM, weights=["package://x"]))
    assert saved is not None
    return saved


def apply_saved(machine: Machine, saved: SavedPlan, facts: dict[str, str] | None = None) -> int | None:
    host = machine.host()

    def guard() -> None:
        check_basis(saved, host, facts=facts or FACTS, files=hashes(machine))

    return apply(saved.tree, host, guard=guard).generation


def test_a_plan_that_nothing_moved_under_is_done(machine: Machine) -> None:
    first = save(machine, tree(["a"], ["b"]))
    assert apply_saved(machine, first) == 1
    assert_runs(machine, tree(["a"], ["b"]))
    second = save(machine, tree({"a": 8192}))
    assert second.weights == ("package://x",)
    assert apply_saved(machine, second) == 2
    assert_runs(machine, tree({"a": 8192}))


def test_a_plan_is_done_once(machine: Machine) -> None:
    saved = save(machine, tree(["a"]))
    apply_saved(machine, saved)
    with pytest.raises(StalePlanError, match="something was applied since"):
        apply_saved(machine, saved)


def write(path: str, text: str) -> Callable[[Machine], None]:
    def move(machine: Machine) -> None:
        machine.real(path).write_text(text)

    return move


def go_back(machine: Machine) -> None:
    rollback(machine.host())


def begin(machine: Machine) -> None:
    Records(machine.files, machine.layout).begin(Pending(source=1, target=2, phase=Phase.FORWARD))


def fail(machine: Machine) -> None:
    machine.systemd.running.pop(unit_of("a"))
    machine.systemd.failed.add(unit_of("a"))


def remove_link(machine: Machine) -> None:
    machine.real(f"/etc/systemd/system/{GATEWAY}").unlink()


def anew(machine: Machine) -> None:
    destroy(machine.host())
    apply(tree(["a"]), machine.host())
    apply(tree(["a"], ["b"]), machine.host())


MOVES: dict[str, tuple[Callable[[Machine], None], str]] = {
    "another machine": (write("/etc/machine-id", "b" * 32), "it was made for another machine"),
    "a boot": (write("/proc/sys/kernel/random/boot_id", "second"), "the machine was booted since"),
    "an apply": (lambda machine: void(apply(tree(["c"]), machine.host())), "generation 2 was current, and 3 is"),
    "a rollback": (go_back, "generation 2 was current, and 1 is"),
    "a destroy": (lambda machine: void(destroy(machine.host())), "everything was removed since"),
    "a destroy and an apply": (anew, "everything was removed and applied anew since"),
    "another change": (begin, "a change was begun or ended since"),
    "a unit that failed": (fail, f"{unit_of('a')} was loaded and active, and is loaded and failed"),
    "a unit that was stopped": (
        lambda machine: void(machine.systemd.running.pop(GATEWAY)),
        f"{GATEWAY} was loaded and active, and is loaded and inactive",
    ),
    "a unit that was masked": (
        lambda machine: machine.systemd.masked.add(unit_of("b")),
        f"{unit_of('b')} was loaded and active, and is masked and active",
    ),
    "the configuration": (write(CONFIG, "version: 1\n# new\n"), "modelgrid.yaml has changed"),
    "the configuration gone": (lambda machine: machine.real(CONFIG).unlink(), "modelgrid.yaml is gone"),
    "a lock file": (write(LOCK, "{}"), "modelgrid.lock is new"),
    "the list of checksums": (
        write("/etc/modelgrid/generations/2/SHA256SUMS", ""),
        "generation 2 is another than it was",
    ),
    "a file of the generation": (
        write("/etc/modelgrid/generations/2/routing.json", "{}"),
        "files or links of what is applied were changed by hand since",
    ),
    "a link": (remove_link, "files or links of what is applied were changed by hand since"),
}


def void(_value: object) -> None:
    """Drop the value of an expression."""


def prepared(machine: Machine) -> SavedPlan:
    apply(tree(["a"]), machine.host())
    apply(tree(["a"], ["b"]), machine.host())
    return save(machine, tree({"a": 8192}, ["b"]))


@pytest.mark.parametrize("name", MOVES)
def test_a_plan_is_refused_by_name_and_nothing_is_written_when_this_has_moved(name: str, machine: Machine) -> None:
    move, message = MOVES[name]
    saved = prepared(machine)
    move(machine)
    before, running = machine.snapshot(), dict(machine.systemd.running)
    with pytest.raises(StalePlanError) as caught:
        apply_saved(machine, saved)

    assert [clause for clause in caught.value.moved if clause.endswith(message)]
    assert caught.value.exit_code == 1
    assert "modelgrid plan -o" in (caught.value.hint or "")
    assert (machine.snapshot(), machine.systemd.running) == (before, running)


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("value", ["", "another"])
def test_a_plan_is_refused_where_what_it_was_compiled_for_has_moved(name: str, value: str, machine: Machine) -> None:
    saved = prepared(machine)
    with pytest.raises(StalePlanError, match=f"{name} was {FACTS[name]}, and is {value or 'none'}"):
        apply_saved(machine, saved, {**FACTS, name: value})


def test_the_very_first_plan_is_stale_once_something_was_applied_and_removed_again(machine: Machine) -> None:
    first = save(machine, tree(["a"]))
    assert first.basis.lineage == ""
    apply(tree(["b"]), machine.host())
    with pytest.raises(StalePlanError, match="something was applied since"):
        apply_saved(machine, first)
    assert_runs(machine, tree(["b"]))


def test_a_first_apply_that_failed_leaves_the_host_as_the_plan_counts_on(machine: Machine) -> None:
    saved = save(machine, tree(["a"]))
    machine.systemd.broken = {"[Container]"}
    with pytest.raises(HostError, match="nothing runs, as before"):
        apply_saved(machine, saved)
    machine.systemd.broken = set()
    assert apply_saved(machine, saved) == 1


def test_a_lineage_is_never_the_same_twice(machine: Machine) -> None:
    seen = set()
    for _ in range(3):
        apply(tree(["a"]), machine.host())
        apply(tree(["a"], ["b"]), machine.host())
        seen.add(Records(machine.files, machine.layout).lineage())
        destroy(machine.host())
    assert len(seen) == 3
    for path in ("/etc/machine-id", CONFIG):
        machine.real(path).unlink()
    assert_nothing_left(machine)


def test_what_moves_while_apply_waits_for_the_lock_is_seen(machine: Machine) -> None:
    saved = prepared(machine)
    asked: list[int] = []
    host = machine.host()

    def guard() -> None:
        asked.append(1)
        check_basis(saved, host, facts=FACTS, files=hashes(machine))
        if len(asked) == 1:
            fail(machine)

    with pytest.raises(StalePlanError, match="is loaded and failed"):
        apply(saved.tree, host, guard=guard)
    assert machine.current() == 2


def test_another_version_of_modelgrid_makes_its_own_plan(machine: Machine) -> None:
    saved = replace(prepared(machine), modelgrid="0.0.1")
    with pytest.raises(StalePlanError, match=rf"made by modelgrid 0\.0\.1, and this is {__version__}"):
        apply_saved(machine, saved)


def test_a_configuration_is_no_plan_and_an_altered_plan_is_none_to_apply(machine: Machine) -> None:
    for text in ("", "version: 1\n", "{", '{"version": 1}', "[]", "{" * 9999):
        assert load_saved(text) is None
    desired = tree(["a"])
    basis = read_basis(machine.host(), desired, facts=FACTS, files={})
    text = dump_saved(plan(desired, machine.host()).to_dict(), desired, basis, scope=Scope.USER, weights=[])
    value: dict[str, Any] = json.loads(text)
    assert "key" not in json.dumps(value["basis"])
    with pytest.raises(ConfigError, match="was altered after it was made"):
        load_saved(text.replace("--ctx-size 4096", "--ctx-size 1"))
    with pytest.raises(ConfigError, match="has format 2, and 1 is known"):
        load_saved(json.dumps({**value, "format_version": 2}))
