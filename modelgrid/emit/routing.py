"""The gateway's input: the routing manifest and the keys beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelgrid.emit.artifact import Artifact
from modelgrid.manifest import KEYS_FILE, Key, Keys, Manifest, Route, Upstream, dump

if TYPE_CHECKING:
    from modelgrid.ir import Deployment, ModelRoute

#: File of the manifest in a compiled tree; the keys are in one of the name that the gateway knows.
MANIFEST = "routing.json"
KEYS = KEYS_FILE

_OWNER_ONLY = 0o600


def routing(deployment: Deployment) -> tuple[Artifact, Artifact]:
    """Return the manifest, and the keys, which only the owner may read."""
    gateway = deployment.gateway
    manifest = Manifest(
        max_body=gateway.max_body,
        hold_time=gateway.hold_time,
        hold_requests=gateway.hold_requests,
        routes=tuple(map(_route, deployment.routes)),
    )
    keys = Keys(keys=tuple(Key(name=key.name, sha256=key.sha256, models=key.models) for key in gateway.keys))
    return (
        Artifact(path=MANIFEST, content=dump(manifest)),
        Artifact(path=KEYS, content=dump(keys), mode=_OWNER_ONLY),
    )


def _route(route: ModelRoute) -> Route:
    return Route(
        model=route.name,
        aliases=route.aliases,
        engine=route.engine,
        upstream_model=route.upstream_model,
        apis=route.apis,
        upstreams=tuple(Upstream(host=endpoint.host, port=endpoint.port) for endpoint in route.endpoints),
        health_path=route.health_path,
        fallback=route.fallback,
    )
