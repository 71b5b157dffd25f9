"""``check``, ``compile``, ``schema`` and ``explain``: from the file to its output, without touching a host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.cli.output import counted, note, result, result_json
from modelgrid.cli.pipeline import (
    check_file,
    compile_checked,
    declared_programs,
    print_warnings,
    probe_host,
    scope_of,
    target_facts,
)
from modelgrid.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse


def run_check(options: argparse.Namespace) -> int:
    """Report every fault. With the facts of a target, what does not fit it is a fault too."""
    try:
        checked = check_file(options.file, strict=options.strict, local=options.facts is None)
        report = checked.report
        facts = target_facts(checked, options.facts)
        if facts is not None:
            from modelgrid.emit import emit  # noqa: PLC0415  only where there is a target to emit for

            compiled = compile_checked(
                checked, facts=facts, scope=scope_of(options), foreign=True, strict=options.strict
            )
            report += compiled.report
            emit(compiled.deployment)
    except ConfigError as error:
        if options.format != "json":
            raise
        _print_json(error)
        return error.exit_code
    if options.format == "json":
        from modelgrid.rendering import to_json  # noqa: PLC0415  only for tools

        result(to_json(report))
    else:
        print_warnings(report)
        note(f"{options.file}: {counted(len(checked.config.models), 'model')}, no errors")
    return 0


def _print_json(error: ConfigError) -> None:
    if error.report is None:
        # no text was read, so no part of it is at fault
        result_json({"diagnostics": [], "errors": 1, "warnings": 0, "message": error.message, "hint": error.hint})
        return
    from modelgrid.rendering import to_json  # noqa: PLC0415  only for tools

    result(to_json(error.report))


def run_compile(options: argparse.Namespace) -> int:
    """Write the compiled tree to a folder that is new or that an earlier compile wrote."""
    from modelgrid.cli.tree import write_tree  # noqa: PLC0415  `check` does not emit
    from modelgrid.emit import emit  # noqa: PLC0415  the same

    checked = check_file(options.file, strict=options.strict, local=options.facts is None)
    target = target_facts(checked, options.facts)
    compiled = compile_checked(
        checked,
        facts=target or probe_host(declared_programs(checked.config)),
        scope=scope_of(options),
        foreign=target is not None,
        strict=options.strict,
    )
    print_warnings(checked.report + compiled.report)
    artifacts = emit(compiled.deployment)
    write_tree(Path(options.output), artifacts)
    note(f"wrote {len(artifacts)} files to {options.output}")
    return 0


def run_schema(options: argparse.Namespace) -> int:
    """Print the JSON schema of the configuration or of the manifest."""
    from modelgrid.resources import read_text  # noqa: PLC0415  imports of one command only

    result(read_text(f"schemas/{options.name}.schema.json"))
    return 0


def run_explain(options: argparse.Namespace) -> int:
    """Print what a code means, its cause and its fix."""
    from modelgrid.codes import CODES  # noqa: PLC0415  imports of one command only

    code = CODES.get(options.code.upper())
    if code is None:
        raise UsageError(f"there is no code {options.code}", hint=f"the codes go from {min(CODES)} to {max(CODES)}")
    result(f"{options.code.upper()}: {code.title}\n\n{code.cause}\n\n{code.fix}")
    return 0
