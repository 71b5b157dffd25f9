"""``gateway`` and ``key``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.cli.output import note, result, result_json
from modelgrid.errors import UsageError
from modelgrid.ports import split_address

if TYPE_CHECKING:
    import argparse


def run_gateway(options: argparse.Namespace) -> int:
    """Serve a manifest until SIGTERM or Ctrl-C."""
    from modelgrid.gateway.serve import serve  # noqa: PLC0415  no other command serves

    address = split_address(options.listen)
    if address is None:
        raise UsageError(
            f"--listen {options.listen} is no IP address with a port", hint="write it like 127.0.0.1:8080 or [::1]:8080"
        )
    host, port = address
    keys = Path(options.keys) if options.keys else None
    live = Path(options.live) if options.live else None
    serve(manifest=Path(options.manifest), keys=keys, host=host, port=port, live=live, unit=options.unit)
    return 0


def run_key_new(options: argparse.Namespace) -> int:
    """Make a key; print it and the entry for the file, which holds only its hash."""
    import json  # noqa: PLC0415  imports of one command only

    from modelgrid.keys import new_key  # noqa: PLC0415  the same

    models = options.model or ["*"]
    for text in (options.name, *models):
        if not text or not text.isprintable():
            raise UsageError(
                f"{text!r} is no name", hint="a name has at least one character, and no control characters"
            )
    key, digest = new_key()
    if options.json:
        result_json({"key": key, "entry": {"name": options.name, "sha256": digest, "models": models}})
        return 0
    note("The key, shown this once; give it to the client:")
    result(key)
    note("The entry for gateway.keys in your configuration:")
    # a JSON string is a YAML string too, where nothing in it is escaped beyond quotes and backslashes
    name, patterns = (json.dumps(value, ensure_ascii=False) for value in (options.name, models))
    note(f"    - name: {name}\n      sha256: {digest}\n      models: {patterns}")
    return 0
