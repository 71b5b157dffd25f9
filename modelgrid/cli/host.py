"""``facts`` and ``gpu list``: what this host is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.cli.output import note, result, result_json, table
from modelgrid.quantities import format_size

if TYPE_CHECKING:
    import argparse


def run_facts(options: argparse.Namespace) -> int:
    """Print the facts of this host as YAML, or as JSON."""
    from modelgrid.cli.pipeline import probe_host  # noqa: PLC0415  imports of one command only
    from modelgrid.host.facts_file import dump_facts, facts_data  # noqa: PLC0415  the same

    facts = probe_host(options.program)
    if options.json:
        result_json(facts_data(facts))
    else:
        result(dump_facts(facts))
    return 0


def run_gpu_list(options: argparse.Namespace) -> int:
    """List the GPUs of this host, and whether CDI names them."""
    from modelgrid.host.cdi import device_names  # noqa: PLC0415  imports of one command only
    from modelgrid.host.probe import all_gpus  # noqa: PLC0415  the same

    gpus = all_gpus()
    named = device_names()
    rows = [(gpu, gpu.node or f"nvidia.com/gpu={gpu.uuid}") for gpu in gpus]
    if options.json:
        result_json(
            [
                {
                    "index": gpu.index,
                    "uuid": gpu.uuid,
                    "name": gpu.name,
                    "memory": gpu.memory,
                    "node": gpu.node or None,
                    "cdi": name if name in named else None,
                }
                for gpu, name in rows
            ]
        )
        return 0
    if not gpus:
        note("there is no GPU here, or its driver is not loaded")
        return 0
    lines = [
        (str(gpu.index), gpu.name, format_size(gpu.memory), gpu.uuid, gpu.node or ("yes" if name in named else "no"))
        for gpu, name in rows
    ]
    result(table(lines, ("INDEX", "NAME", "MEMORY", "UUID", "CDI")))
    return 0
