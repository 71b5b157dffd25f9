"""Runs the gateway in a process of its own: ``python -m tests.gateway.runner '{...}'``."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import socket
import sys
from pathlib import Path

from modelgrid.errors import ModelGridError
from modelgrid.gateway.serve import prepare, run
from modelgrid.gateway.upstream import Timeouts


def main() -> None:
    sockets: list[socket.socket] = []
    options = json.loads(sys.argv[1])
    if options.get("spawn"):
        multiprocessing.set_start_method("spawn")
    try:
        settings = prepare(
            manifest=Path(options["manifest"]),
            keys=Path(options["keys"]) if options.get("keys") else None,
            host=options.get("host", "127.0.0.1"),
            port=options["port"],
            live=Path(options["live"]) if options.get("live") else None,
            unit=options.get("unit", ""),
        )
        settings = dataclasses.replace(
            settings,
            timeouts=Timeouts(**options.get("timeouts", {})),
            body_patience=options.get("body_patience", settings.body_patience),
            watch_interval=0.05,
        )
        if options.get("occupy"):  # somebody takes the port between the check and the start
            sockets.append(socket.create_server((settings.host, settings.port)))
        run(settings, workers=options.get("workers", 1), renewal=0.6)
    except ModelGridError as error:
        sys.stderr.write(f"{type(error).__name__}: {error.message}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
