"""The exceptions of ModelGrid. Each says whose fault it is, and so which exit code the command ends with.

::

    ModelGridError
    ├── ConfigError      the file is at fault          exit 1
    ├── UsageError       the command line is at fault  exit 2
    ├── HostError        the machine is at fault       exit 3
    └── InternalError    our own output is invalid     exit 70 (sysexits.h, EX_SOFTWARE)

``plan`` and ``diff`` also exit 2, for "there are changes"; a usage error never gets that far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from modelgrid.diagnostics import Report


class ModelGridError(Exception):
    """What a command reports without a traceback: one sentence, and the way out as a *hint*."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(ModelGridError):
    """The configuration is at fault. *report* holds every fault that was found, with its place."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, report: Report | None = None) -> None:
        super().__init__(message, hint=hint)
        self.report = report


class UsageError(ModelGridError):
    """The command line is at fault in a way that argparse cannot see."""

    exit_code = 2


class HostError(ModelGridError):
    """The machine cannot do what was asked: a tool is missing or too old, a folder cannot be written."""

    exit_code = 3


class InternalError(ModelGridError):
    """ModelGrid made something that the host's own tools refuse: a fault of ours, not of the file."""

    exit_code = 70
