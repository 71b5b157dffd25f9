"""The command line: the one place that prints and that turns an error into an exit code."""

from __future__ import annotations

from modelgrid.cli.main import main

__all__ = ["main"]
