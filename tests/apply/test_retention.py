"""Which generations go, and which never do."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from modelgrid.apply import execute
from modelgrid.apply.store.files import FileSystem
from modelgrid.apply.store.generations import Generation, Generations
from modelgrid.apply.store.layout import Layout
from modelgrid.apply.store.records import Behind, Pending, Phase, Probation, Records
from modelgrid.apply.store.retention import Retention, expired, held_generations
from modelgrid.emit.artifact import Artifact
from tests.apply.trees import tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apply.fakes import Machine

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = 86400.0


def generation(number: int, *, days: float = 0.0, created: str | None = None) -> Generation:
    made = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Generation(
        number=number, created=made if created is None else created, parent=None, modelgrid="1", current=False
    )


def gone(retention: Retention, *generations: Generation, held: frozenset[int] = frozenset()) -> tuple[int, ...]:
    return expired(generations, retention, held=held, now=NOW)


def test_the_newest_stay_by_count() -> None:
    assert gone(Retention(keep=2), *map(generation, (3, 1, 2, 7))) == (1, 2)


def test_what_is_too_old_goes_though_there_are_few() -> None:
    kept = Retention(keep=10, age=90 * DAY)
    assert gone(kept, generation(1, days=91), generation(2, days=90), generation(3)) == (1,)
    assert gone(kept, generation(1, days=91), generation(2), held=frozenset({1})) == ()


def test_a_time_that_cannot_be_read_or_is_to_come_is_no_reason() -> None:
    kept = Retention(age=1.0)
    assert gone(kept, generation(1, created=""), generation(2, created="yesterday"), generation(3, days=-9)) == ()


@given(
    numbers=st.sets(st.integers(1, 60)),
    held=st.sets(st.integers(1, 60)),
    keep=st.integers(0, 12),
    days=st.none() | st.floats(0, 60),
)
def test_what_stays_is_held_or_new_enough(numbers: set[int], held: set[int], keep: int, days: float | None) -> None:
    generations = [generation(number, days=60 - number) for number in numbers]
    retention = Retention(keep=keep, age=None if days is None else days * DAY)
    found = set(gone(retention, *generations, held=frozenset(held)))
    newest = set(sorted(numbers)[len(numbers) - min(keep, len(numbers)) :])
    young = {number for number in numbers if days is None or 60 - number <= days}
    assert found == numbers - held - (newest & young)


class Unsynced(FileSystem):
    """The files of a host that has no power cuts."""

    def fsync(self, descriptor: int) -> None:
        pass


def test_in_1000_random_sequences_nothing_goes_that_a_way_back_needs(tmp_path: Path) -> None:
    removed = 0
    for seed in range(1000):
        removed += one_sequence(random.Random(seed), tmp_path / str(seed))
    # or it would have shown nothing
    assert removed > 500


def one_sequence(choose: random.Random, root: Path) -> int:
    """Change a host in some order, as apply, rollback and kills do, and prune at any point; return how many went."""
    files, layout = Unsynced(root), Layout.system()
    root.joinpath("etc").mkdir(parents=True)
    generations, records = Generations(files, layout), Records(files, layout)
    generations.make_folders()
    now, removed = NOW, 0
    for _ in range(choose.randint(4, 10)):
        # clocks are set back, too
        now += timedelta(days=choose.uniform(-5, 40))
        current, numbers = generations.current(), generations.numbers()
        step = choose.choice(("apply", "apply", "kill", "rollback", "behind", "probation", "kept"))
        if step in {"apply", "kill"}:
            artifact = Artifact(path="routing.json", content=f"{now}")
            made = generations.write((artifact,), parent=current, created=now)
            change = Pending(source=current, target=made, phase=Phase.FORWARD, made=(made,), lefts=(made,))
            records.begin(change)
            if step == "apply" or choose.random() < 0.5:
                generations.switch(made)
            if step == "apply":
                records.confirm(made)
        elif step == "rollback" and numbers:
            target = choose.choice(numbers)
            generations.switch(target)
            records.confirm(target)
        elif step == "probation" and current is not None:
            back_to = choose.choice((None, *numbers))
            records.put_on_probation(Probation(generation=current, back_to=back_to, until=now.timestamp()))
        elif step == "kept":
            records.end_probation()
        elif step == "behind" and current is not None:
            records.confirm(current, behind={"x": Behind(generation=choose.choice(numbers), invocation="1")})
        removed += prune(generations, records, choose, now)
    return removed


def prune(generations: Generations, records: Records, choose: random.Random, now: datetime) -> int:
    before, current, pending = generations.numbers(), generations.current(), records.pending()
    needed = {current, records.confirmed(), *(item.generation for item in records.behind().values())}
    needed |= {generations.parent(current)} if current is not None else set()
    needed |= {pending.source, pending.target, *pending.lefts} if pending is not None else set()
    if (probation := records.probation()) is not None:
        needed |= {probation.generation, probation.back_to}
    retention = Retention(keep=choose.randint(0, 4), age=choose.choice((None, 0.0, 30 * DAY)))
    gone = expired(generations.list(), retention, held=held_generations(generations, records), now=now)
    for number in gone:
        generations.remove(number)
    after = set(generations.numbers())
    assert after == set(before) - set(gone)
    assert needed & set(before) <= after
    assert current is None or not generations.problems(current)
    return len(gone)


def test_an_apply_removes_what_is_too_old_and_the_way_back_stays(machine: Machine) -> None:
    for size in range(1, 4):
        execute.apply(tree({"a": size}), machine.host())
    retention = Retention(age=-1.0)
    execute.apply(tree({"a": 9}), machine.host(), retention=retention)
    assert Generations(machine.files, machine.layout).numbers() == (3, 4)
    assert execute.rollback(machine.host()).generation == 3
