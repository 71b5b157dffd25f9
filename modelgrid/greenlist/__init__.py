"""The greenlist: which models may be served, by which engine, and on how much GPU memory.

:mod:`~modelgrid.greenlist.gate` is what commands use. Below it :mod:`~modelgrid.greenlist.reading` brings the bytes and
is the only part that touches files and the network; all else is a function of its arguments.
"""

from modelgrid.greenlist.gate import Gate
from modelgrid.greenlist.memory import check_memory, gpu_memory
from modelgrid.greenlist.models import check_models
from modelgrid.greenlist.rules import Rule, Rules, read_rules

__all__ = ["Gate", "Rule", "Rules", "check_memory", "check_models", "gpu_memory", "read_rules"]
