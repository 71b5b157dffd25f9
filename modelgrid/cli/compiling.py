"""``check``, ``compile``, ``schema`` and ``explain``: from the file to its output, without touching a host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.cli.output import note, result
from modelgrid.cli.pipeline import (
    check_file,
    compile_checked,
    local_folders,
    print_warnings,
    probe_host,
    scope_of,
    target_facts,
)
from modelgrid.cli.tree import write_tree
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

            scope = scope_of(options)
            compiled = compile_checked(
                checked, facts=facts, scope=scope, folders=local_folders(scope), strict=options.strict
            )
            report += compiled.report
            emit(compiled.deployment)
    except ConfigError as error:
        if options.format == "json" and error.report is not None:
            _print_json(error)
            return error.exit_code
        raise
    if options.format == "json":
        from modelgrid.rendering import to_json  # noqa: PLC0415  only for tools

        result(to_json(report))
    else:
        print_warnings(report)
        count = len(checked.config.models)
        note(f"{options.file}: {count} {'model' if count == 1 else 'models'}, no errors")
    return 0


def _print_json(error: ConfigError) -> None:
    from modelgrid.rendering import to_json  # noqa: PLC0415  only for tools

    assert error.report is not None
    result(to_json(error.report))


def run_compile(options: argparse.Namespace) -> int:
    """Write the compiled tree to a folder that is new or that an earlier compile wrote."""
    from modelgrid.emit import emit  # noqa: PLC0415  `check` does not emit

    checked = check_file(options.file, strict=options.strict, local=options.facts is None)
    facts = target_facts(checked, options.facts) or probe_host()
    scope = scope_of(options)
    compiled = compile_checked(checked, facts=facts, scope=scope, folders=local_folders(scope), strict=options.strict)
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
