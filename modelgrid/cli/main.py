"""Runs one command and turns what it raises into one sentence and an exit code."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from modelgrid.cli.output import discard, note, use_colour
from modelgrid.cli.parser import build_parser
from modelgrid.errors import ConfigError, HostError, InternalError, ModelGridError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: Exit code of a process that Ctrl-C ended: 128 and the number of SIGINT.
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line *arguments* (those of the process when none are given) and return the exit code."""
    # imports and schemas make many objects that all stay: looking through them again and again costs a tenth of `check`
    gc.set_threshold(100_000)
    if arguments is not None:
        return _run(arguments)
    try:
        return _run(sys.argv[1:])
    finally:
        # the process ends, and Python would look through all of them once more: another tenth
        gc.freeze()


def _run(arguments: Sequence[str]) -> int:
    options = build_parser(arguments).parse_args(arguments)
    options.arguments = tuple(arguments)
    return run_options(options)


def run_options(options: argparse.Namespace) -> int:
    """Run the command of *options*, which :func:`build_parser` made, and return the exit code."""
    try:
        code: int = options.run(options)
    except ModelGridError as error:
        if options.debug:
            raise
        report_error(error)
        return error.exit_code
    except BrokenPipeError:
        # the reader of our output has gone, as `| head` does
        discard(sys.stdout)
        return 0
    except KeyboardInterrupt:
        note("modelgrid: interrupted")
        return _INTERRUPTED
    except OSError as error:
        if options.debug:
            raise
        report_error(HostError(f"cannot use {error.filename or 'a file'}: {error.strerror or error}"))
        return HostError.exit_code
    except Exception as error:
        if options.debug:
            raise
        report_error(
            InternalError(f"{type(error).__name__}: {error}", hint="report what `modelgrid --debug COMMAND ...` shows")
        )
        return InternalError.exit_code
    return code


def report_error(error: ModelGridError) -> None:
    """Print *error* with every fault that it collected."""
    if isinstance(error, ConfigError) and error.report is not None:
        from modelgrid.cli.pipeline import print_report  # noqa: PLC0415  only on a fault

        print_report(error.report, colour=use_colour())
    note(f"modelgrid: {error.message}")
    if error.hint:
        note(f"hint: {error.hint}")
