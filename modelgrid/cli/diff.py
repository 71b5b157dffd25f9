"""``diff``: what a change of the configuration means, for those who review it. No host is asked."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelgrid.cli.output import note, result, result_json, use_colour
from modelgrid.cli.pipeline import (
    Checked,
    check_file,
    compile_checked,
    declared_programs,
    emit_compiled,
    print_report,
    probe_host,
    scope_of,
    target_facts,
)
from modelgrid.cli.revisions import find_revision
from modelgrid.cli.tree import is_tree, read_tree
from modelgrid.diagnostics import Report, parse_path
from modelgrid.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from modelgrid.cli.revisions import Revision
    from modelgrid.diagnostics import Location
    from modelgrid.emit.artifact import Artifact
    from modelgrid.review.values import Review

#: Exit code where something changes, as that of `plan`.
CHANGES = 2

#: Ends of names of files that compile reads.
_READ = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two trees. *checked* is what it was compiled from, none where that is not at hand.

    *name* is what its file is called in places; empty leaves it as it is.
    """

    artifacts: tuple[Artifact, ...] = ()
    checked: Checked | None = None
    name: str = ""

    def place(self, origin: str) -> str:
        """Return ``FILE:LINE:COLUMN`` of the path *origin*; empty where it has none here."""
        if self.checked is None or not origin:
            return ""
        try:
            location = self.checked.document.locate(parse_path(origin))
        except ValueError:
            return ""
        return str(_named(location, self.name)) if location else ""


def run_diff(options: argparse.Namespace) -> int:
    """Compile the file and its base, and say what differs: exit 0 for nothing, 2 for changes."""
    if options.base is None:
        from modelgrid.cli.generations import run_diff_of_generations  # noqa: PLC0415  needs a host

        return run_diff_of_generations(options)
    if options.other is not None:
        raise UsageError(f"with --base, diff takes one file: {options.other} is one too many")
    from modelgrid.review.compare import compare  # noqa: PLC0415  imports of one command only

    if options.file == "-":
        raise ConfigError("diff needs a file, and not stdin", hint="name the configuration")
    after = _compile(options.file, options)
    before, notes = _base(options)
    review = compare(before.artifacts, after.artifacts)

    def place(origin: str) -> str:
        found = after.place(origin)
        # of what is gone the base has the place
        return found if found and _holds(after, origin) else before.place(origin) or found

    return show_review(review, {"base": options.base, "file": options.file}, options, place=place, notes=notes)


def show_review(
    review: Review,
    sides: Mapping[str, str | int],
    options: argparse.Namespace,
    *,
    place: Callable[[str], str],
    notes: Sequence[str] = (),
) -> int:
    """Print *review* in the form that *options* ask for; exit 0 where it is empty, else 2.

    *sides* are the names of what is compared, the earlier first; *place* says where a part of the configuration is.
    """
    title = " -> ".join(map(str, sides.values()))
    if options.json:
        from modelgrid.review.data import to_data  # noqa: PLC0415  imports of one form only

        result_json({**sides, "notes": list(notes), **to_data(review, place=place)})
    elif options.markdown:
        from modelgrid.review.markdown import to_markdown  # noqa: PLC0415  imports of one form only

        result(to_markdown(review, title=title, place=place, notes=notes))
    else:
        from modelgrid.review.text import to_text  # noqa: PLC0415  imports of one form only

        for text in notes:
            note(text)
        result(to_text(review, title=title, place=place))
    return 0 if review.empty else CHANGES


def _holds(side: Side, origin: str) -> bool:
    """Say whether the file of *side* itself has the part *origin*."""
    try:
        return side.checked is not None and side.checked.document.value(parse_path(origin)) is not None
    except ValueError:
        return False


def _base(options: argparse.Namespace) -> tuple[Side, tuple[str, ...]]:
    """Return the tree to compare with, and what the reader should know of it.

    Raises:
        ConfigError: the base is neither a revision nor a file nor a compiled tree.
    """
    path = Path(options.base)
    if is_tree(options.base):
        return Side(artifacts=read_tree(path)), ()
    name = options.base
    try:
        if path.is_file():
            return _compile(options.base, options), ()
        revision = find_revision(options.base, Path(options.file).parent)
        if revision is not None:
            name = f"{options.base}:{options.file}"
            if revision.read(Path(options.file).name) is None:
                return Side(), (f"{options.base} has no {options.file}: all of it is new",)
            return _compile_revision(revision, name, options), ()
    except ConfigError as error:
        if error.report is None:
            raise
        located = (replace(item, location=_named(item.location, name)) for item in error.report)
        print_report(Report.of(located), colour=use_colour())
        return Side(), (f"{name} does not compile ({error.message}), so all is shown as new",)
    raise ConfigError(
        f"{options.base} is no revision of git, no configuration and no folder that compile wrote",
        hint="fetch the branch first, or name a file",
    )


def _compile(file: str, options: argparse.Namespace) -> Side:
    checked = check_file(file, local=False)
    return _emit(checked, checked, options)


def _compile_revision(revision: Revision, name: str, options: argparse.Namespace) -> Side:
    """Compile what *revision* has, in a folder that goes away again."""
    file = Path(options.file)
    with tempfile.TemporaryDirectory(prefix="modelgrid-") as temporary:
        root = Path(temporary).resolve()
        mirrored = root / revision.folder / file.name
        revision.export([file.name, Path(file.name).with_suffix(".lock").name], root)
        from modelgrid.config.load import load  # noqa: PLC0415  imports of one command only

        document = load(mirrored.read_bytes(), file=str(mirrored))
        revision.export(_named_files(document.data), root)
        checked = check_file(str(mirrored), local=False)
        # what it names on the host lies where it lies today
        placed = replace(checked, base=file.parent.resolve())
        return replace(_emit(checked, placed, options), name=name)


def _emit(checked: Checked, placed: Checked, options: argparse.Namespace) -> Side:
    """Write out *placed*, for the target that *checked* finds beside itself."""
    target = target_facts(checked, options.facts)
    facts = target or probe_host(declared_programs(checked.config))
    compiled = compile_checked(placed, facts=facts, scope=scope_of(options), foreign=target is not None)
    return Side(artifacts=emit_compiled(placed, compiled), checked=checked)


def _named_files(data: dict[str, Any]) -> Iterator[str]:
    """Yield every text that may name a file beside the configuration: facts, a greenlist. Weights are not read."""
    for key, value in data.items():
        for text in _texts(value):
            if "://" not in text and (key not in {"models", "engines"} or text.endswith(_READ)):
                yield text


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _named(location: Location | None, name: str) -> Location | None:
    return replace(location, file=name) if location and name else location
