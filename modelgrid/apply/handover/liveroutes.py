"""Which manifest the gateways route by while servers come and go: between the old one and the new. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelgrid.emit.routing import MANIFEST
from modelgrid.manifest import ManifestError, Upstream, load_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from modelgrid.emit.artifact import Artifact
    from modelgrid.manifest import Manifest, Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How far a change has come, by the addresses of servers, ``address:port``.

    Attributes:
        changing: servers that the change starts, restarts or stops.
        renewed: those of them that run by the new configuration by now.
        away: servers that take no requests for now.
        instead: who answers in place of a server of the new configuration.
    """

    changing: frozenset[str] = frozenset()
    renewed: frozenset[str] = frozenset()
    away: frozenset[str] = frozenset()
    instead: Mapping[str, str] = field(default_factory=dict)


def live_manifest(old: Manifest, new: Manifest, stage: Stage) -> Manifest:
    """Return the manifest for *stage* of the way from *old* to *new*.

    A model is routed as *new* has it as soon as one of its servers there is ready, else as *old* has it while one of
    its servers still is. One with neither is on hold: it has no upstream, and its requests wait. A model that only
    *new* has appears when its first server is ready; one that only *old* has is gone from the first stage on.
    """
    before = {route.model: route for route in old.routes}
    routes = []
    for route in new.routes:
        earlier = before.get(route.model)
        ready = tuple(_ready(route, stage))
        if ready:
            routes.append(replace(route, upstreams=ready))
        elif earlier is not None:
            left = tuple(item for item in earlier.upstreams if _runs_on(item, stage))
            routes.append(replace(earlier if left else route, upstreams=left))
    kept = {route.model for route in routes}
    return replace(new, routes=tuple(_without_strangers(route, kept) for route in routes))


def address_of(upstream: Upstream) -> str:
    """Return *upstream* as ``address:port``, with brackets around an IPv6 address."""
    return f"[{upstream.host}]:{upstream.port}" if ":" in upstream.host else f"{upstream.host}:{upstream.port}"


def _ready(route: Route, stage: Stage) -> Iterator[Upstream]:
    """Yield the servers of *route*, of the new manifest, that answer by it."""
    for upstream in route.upstreams:
        address = address_of(upstream)
        if address in stage.instead:
            host, _, port = stage.instead[address].rpartition(":")
            yield Upstream(host=host.strip("[]"), port=int(port))
        elif address not in stage.away and (address in stage.renewed or address not in stage.changing):
            yield upstream


def _runs_on(upstream: Upstream, stage: Stage) -> bool:
    """Say whether a server of the old manifest still runs by it and takes requests."""
    address = address_of(upstream)
    return address not in stage.away and address not in stage.renewed


def _without_strangers(route: Route, models: AbstractSet[str]) -> Route:
    fallback = tuple(name for name in route.fallback if name in models)
    # none changed is the usual case, and this keeps the value
    return route if fallback == route.fallback else replace(route, fallback=fallback)


def manifest_of(tree: Iterable[Artifact]) -> Manifest | None:
    """Return the manifest of *tree*; none where it has none, or one of another version."""
    text = next((item.content for item in tree if item.path == MANIFEST), None)
    if text is None:
        return None
    try:
        return load_manifest(text)
    except ManifestError:
        return None
