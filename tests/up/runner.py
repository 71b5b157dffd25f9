"""`up` in a process of its own, with one model: ``python -m tests.up.runner GATEWAY_PORT MODEL_PORT [WORD ...]``.

It writes ``serving`` to stdout when it does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from modelgrid.ir import Deployment, Endpoint, GatewayService, Health, ModelServer, Origin, Process, Scope
from modelgrid.up import run_up
from modelgrid.up.events import Event, Serving
from tests.emit.samples import route


def report(event: Event) -> None:
    if isinstance(event, Serving):
        sys.stdout.write("serving")
        sys.stdout.flush()


def main() -> int:
    gateway_port, model_port, *words = sys.argv[1:]
    server = Path(__file__).with_name("model_server.py")
    model = ModelServer(
        name="tiny",
        slug="tiny",
        engine="fake",
        models=("tiny",),
        launch=Process(argv=(sys.executable, str(server), model_port, *words)),
        endpoint=Endpoint(host="127.0.0.1", port=int(model_port)),
        health=Health(path="/health", start_timeout=20.0),
        origin=Origin(path="$"),
    )
    listen = Endpoint(host="127.0.0.1", port=int(gateway_port))
    gateway = GatewayService(
        listen=listen,
        python=sys.executable,
        max_body=2**20,
        hold_time=300.0,
        hold_requests=1000,
        origin=Origin(path="$"),
    )
    deployment = Deployment(scope=Scope.USER, gateway=gateway, servers=(model,), routes=(route(model),))
    nowhere = Path("/nowhere")
    return run_up(deployment, weights=(), cache=nowhere, state=nowhere, ask=None, once=False, report=report)


if __name__ == "__main__":
    sys.exit(main())
