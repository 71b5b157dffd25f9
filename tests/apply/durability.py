"""What a power cut may leave of a change, and the calls of apply that are there against it."""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import modelgrid.apply
from tests.apply.durable_disk import Effect, Line, Made, Moved, Named, State, Step, Wrote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER = Path(modelgrid.apply.__file__).parent

#: Calls that durability hangs on.
SYNCS = frozenset({"fsync", "sync_folder"})
RENAME = "rename"

_NONE, _ALL = "nothing that was not synced", "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A disk after a power cut.

    Attributes:
        step: index of the call after which it came; *done* when that is the last, and the change was reported done.
        how: which changes that were not synced it has, for people.
        common: whether it has all or none of those.
    """

    state: State
    step: int
    done: bool
    how: str

    @property
    def common(self) -> bool:
        return self.how in {_NONE, _ALL}


def power_cuts(base: State, steps: Sequence[Step], *, draws: int, seed: int = 0) -> Iterator[Left]:
    """Yield what a power cut after each of *steps* may leave of a disk that was *base*, all of it synced.

    Of the changes that are not synced: none, all, all up to each, all but each, each alone, files cut or zeroed, and
    *draws* drawn subsets.
    """
    dice = random.Random(seed)
    durable = base.copy()
    open_effects: list[Effect] = []
    yield Left(state=durable.copy(), step=-1, done=False, how=_NONE)
    for index, step in enumerate(steps):
        open_effects += step.effects
        if step.synced is not None:
            open_effects = durable.sync(step.synced, open_effects)
        done = index == len(steps) - 1
        # what a cut after a sync leaves, one before it may leave, too
        if step.effects or done:
            for how, kept in _subsets(open_effects, draws, dice):
                state = durable.copy()
                for effect in kept:
                    state.add(effect)
                yield Left(state=state, step=index, done=done, how=how)


def _subsets(effects: Sequence[Effect], draws: int, dice: random.Random) -> Iterator[tuple[str, Sequence[Effect]]]:
    yield _NONE, ()
    if not effects:
        return
    yield _ALL, effects
    for index, effect in enumerate(effects):
        yield f"all before {effect}", effects[:index]
        yield f"all but {effect}", (*effects[:index], *effects[index + 1 :])
        yield f"only {effect}", (effect,)
        if isinstance(effect, Wrote):
            for part in _worn(effect):
                yield f"all, but {part}", (*effects[:index], part, *effects[index + 1 :])
    for number in range(draws):
        chance = dice.random()
        kept: list[Effect] = []
        for effect in effects:
            if dice.random() < chance:
                if isinstance(effect, Wrote) and dice.random() < 0.3:
                    kept.append(dice.choice(_worn(effect)))
                else:
                    kept.append(effect)
        yield f"draw {number}", kept


def _worn(effect: Wrote) -> tuple[Wrote, ...]:
    length = len(effect.content)
    return Wrote(effect.inode, effect.content[: length // 2]), Wrote(effect.inode, bytes(length))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call in the source of apply that durability hangs on."""

    file: str
    line: int
    end: int
    name: str

    def made(self, lines: Sequence[Line]) -> bool:
        """Say whether a system call from *lines* came by this one."""
        return any(file == self.file and self.line <= line <= self.end for file, line in lines)

    def __str__(self) -> str:
        return f"{self.name} in {self.file}:{self.line}"


def calls() -> tuple[Call, ...]:
    """Return every sync and rename in apply, but for those of the seam itself."""
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        seam = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and node.name == "FileSystem"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node not in seam:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in SYNCS or name == RENAME:
                    end = node.end_lineno or node.lineno
                    found.append(Call(file=path.name, line=node.lineno, end=end, name=name))
    return tuple(found)


def without(steps: Sequence[Step], call: Call) -> list[Step]:
    """Return *steps* as they were if *call* was not in the source."""
    syncs = call.name in SYNCS
    return [step for step in steps if not (call.made(step.lines) and (step.synced is not None) == syncs)]


def in_place(base: State, steps: Sequence[Step], call: Call) -> list[Step]:
    """Return *steps* as they were if *call*, a rename, was not there, and all was done under the last name at once."""
    done = list(steps)
    for index, step in enumerate(steps):
        if not call.made(step.lines) or step.synced is not None:
            continue
        (effect,) = step.effects
        if isinstance(effect, Moved):
            # nothing was made for it, so there is nothing that could be made under the last name
            done[index] = replace(step, effects=())
            continue
        assert isinstance(effect, Named)
        (old, _), (new, inode) = effect.names
        done[index] = replace(step, effects=())
        made = next((at for at, earlier in enumerate(done[:index]) if Made(inode or 0) in earlier.effects), None)
        if made is None:
            # it was there before: it is removed under the name that it has
            for at in range(index + 1, len(done)):
                done[at] = _under(done[at], effect.folder, new, old)
            continue
        there = base.copy()
        for earlier in done[:made]:
            for known in earlier.effects:
                there.add(known)
        done[made] = _under(done[made], effect.folder, old, new)
        if new in there.names.get(effect.folder, {}):
            gone = Named(effect.folder, ((new, None),))
            done[made] = replace(done[made], effects=(gone, *done[made].effects))
    return done


def _under(step: Step, folder: int, old: str, new: str) -> Step:
    def renamed(effect: Effect) -> Effect:
        if not isinstance(effect, Named) or effect.folder != folder:
            return effect
        return Named(folder, tuple((new if name == old else name, inode) for name, inode in effect.names))

    return replace(step, effects=tuple(renamed(effect) for effect in step.effects))
