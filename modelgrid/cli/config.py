"""``config show`` and ``config init``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.cli.output import note, result, result_json
from modelgrid.errors import HostError, UsageError

if TYPE_CHECKING:
    import argparse


def run_show(options: argparse.Namespace) -> int:
    """Print the configuration with every default filled in, as YAML or JSON."""
    from modelgrid.cli.pipeline import check_file  # noqa: PLC0415  imports of one command only

    data = check_file(options.file).config.model_dump(mode="json", exclude_none=True)
    if options.json:
        result_json(data)
        return 0
    import yaml  # noqa: PLC0415  imports of one command only

    result(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return 0


def run_init(options: argparse.Namespace) -> int:
    """Write a first configuration, fit for this host; never over an existing file."""
    from modelgrid.apply.checks.hostchecks import PODMAN_FLOOR  # noqa: PLC0415  imports of one command only
    from modelgrid.cli.pipeline import probe_host  # noqa: PLC0415  the same
    from modelgrid.resources import read_text  # noqa: PLC0415  the same

    if options.file == "-":
        raise UsageError("init writes a file, not to stdout", hint="name the new file")
    path = Path(options.file)
    facts = probe_host()
    # what `apply` could run here: else the file is one for `up`
    name = "container" if facts.systemd and facts.podman and facts.podman >= PODMAN_FLOOR else "native"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(read_text(f"templates/config/{name}.yaml"))
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", hint="give another name, or edit it") from error
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from error
    note(f"wrote {path}; next: edit it, then `modelgrid check {path}`")
    if sys.platform != "linux" or not facts.systemd:
        note(f"this host has no systemd: run it in the foreground with `modelgrid up {path}`")
    return 0
