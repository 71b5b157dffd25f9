"""From a checked configuration and the facts of a host to the Deployment. Pure: no files, no network, no clock."""

from __future__ import annotations

from modelgrid.compile.compiler import compile_config
from modelgrid.compile.context import Compilation, Context

__all__ = ["Compilation", "Context", "compile_config"]
