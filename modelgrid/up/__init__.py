"""Runs a Deployment in the foreground, on any system, as child processes."""

from __future__ import annotations

from modelgrid.up.supervisor import run_up

__all__ = ["run_up"]
