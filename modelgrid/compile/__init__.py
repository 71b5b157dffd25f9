"""From a checked configuration and the facts of a host to the Deployment. Pure: no files, no network, no clock."""

from __future__ import annotations

from modelgrid.compile.compiler import Compilation, Context, compile_config

__all__ = ["Compilation", "Context", "compile_config"]
