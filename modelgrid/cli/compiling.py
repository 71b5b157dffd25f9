"""``check``, ``compile`` and ``schema``: from the file to its output, without touching a host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.cli.output import counted, note, result
from modelgrid.cli.pipeline import (
    check_file,
    compile_checked,
    declared_programs,
    emit_compiled,
    failure_of,
    print_gpus,
    print_warnings,
    probe_host,
    scope_of,
    target_facts,
)
from modelgrid.diagnostics import Report
from modelgrid.errors import ConfigError, ModelGridError, UsageError

if TYPE_CHECKING:
    import argparse


def run_check(options: argparse.Namespace) -> int:
    """Report every fault. With the facts of a target, what does not fit it is a fault too."""
    report, models, unplaced = _check(options)
    error = unplaced or failure_of(report, strict=options.strict)
    if options.format != "text":
        if text := _for_tools(report, unplaced, options.format):
            result(text)
        if options.format == "github" and error is not None:
            note(f"modelgrid: {error.message}")
        return error.exit_code if error else 0
    if unplaced is not None or error is None:
        print_warnings(report)
    if error is not None:
        raise error
    note(f"{options.file}: {counted(models, 'model')}, no errors")
    return 0


def _check(options: argparse.Namespace) -> tuple[Report, int, ModelGridError | None]:
    """Return all that was found, the number of models, and what ended the search without a place in the file.

    Warnings do not end it, so that what comes after them is seen too.
    """
    report, models = Report(), 0
    try:
        checked = check_file(options.file, local=options.facts is None)
        report, models = checked.report, len(checked.config.models)
        if options.locked:
            from modelgrid.cli.lock import check_locked  # noqa: PLC0415  only where it is asked for

            locked = check_locked(checked, options.file)
            report += locked
            if locked.errors:
                checked = replace(checked, lock=None)  # else compiling would warn of the same
        facts = target_facts(checked, options.facts)
        if facts is not None:
            compiled = compile_checked(checked, facts=facts, scope=scope_of(options), foreign=True)
            report += compiled.report
            if options.format == "text":
                print_gpus(compiled.gpus)
            emit_compiled(checked, compiled)
    except ModelGridError as error:
        if not isinstance(error, ConfigError) or error.report is None:
            return report, models, error
        report += error.report
    return report, models, None


def _for_tools(report: Report, error: ModelGridError | None, form: str) -> str:
    """Write *report* in *form*, and *error*, which is not in it."""
    match form:
        case "json":
            from modelgrid.rendering import to_json  # noqa: PLC0415  only for tools

            return to_json(report, error=error)
        case "sarif":
            from modelgrid.sarif import to_sarif  # noqa: PLC0415  only for tools

            return to_sarif(report, base=Path.cwd(), error=error)
        case _:
            from modelgrid.workflow_commands import to_workflow_commands  # noqa: PLC0415  only for tools

            return to_workflow_commands(report, base=Path.cwd(), error=error)


def run_compile(options: argparse.Namespace) -> int:
    """Write the compiled tree, in one of its forms, to a folder that is new or that an earlier compile wrote."""
    from modelgrid.cli.tree import write_tree  # noqa: PLC0415  `check` does not emit
    from modelgrid.forms import TREE, convert  # noqa: PLC0415  the same

    if options.user and options.form != TREE:
        raise UsageError(f"--as {options.form} is for the system's units", hint=f"leave out --user, or use --as {TREE}")
    checked = check_file(options.file, strict=options.strict, local=options.facts is None)
    target = target_facts(checked, options.facts)
    facts = target or probe_host(declared_programs(checked.config))
    compiled = compile_checked(
        checked,
        facts=facts,
        scope=scope_of(options),
        foreign=target is not None,
        strict=options.strict,
    )
    print_warnings(checked.report + compiled.report)
    print_gpus(compiled.gpus)
    output = convert(emit_compiled(checked, compiled), options.form, distribution=facts.distribution)
    write_tree(Path(options.output), output.files)
    for text in output.notes:
        note(text)
    note(f"wrote {counted(len(output.files), 'file')} to {options.output}")
    return 0


def run_schema(options: argparse.Namespace) -> int:
    """Print the JSON schema of the configuration or of the manifest."""
    from modelgrid.resources import read_text  # noqa: PLC0415  imports of one command only

    result(read_text(f"schemas/{options.name}.schema.json"))
    return 0
