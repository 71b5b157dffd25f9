"""From a name that a client asks for to the route that serves it. Pure.

What a key may not use does not exist in its :class:`View`. So an unknown model and a forbidden one take
the same way to the same answer, and no handler has to remember to check.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

from modelgrid.manifest import ManifestError

if TYPE_CHECKING:
    from modelgrid.manifest import Manifest, Route

#: The patterns of a client that may use every model.
ALL_MODELS = ("*",)


class View:
    """The part of the manifest that one set of patterns lets through.

    Attributes:
        routes: sorted by model.
        apis: every path that one of the routes serves.
    """

    __slots__ = ("_by_name", "apis", "routes")

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        self.apis = frozenset(path for route in routes for path in route.apis)
        self._by_name = {alias: route for route in routes for alias in route.aliases}
        self._by_name |= {route.model: route for route in routes}

    def find(self, name: str) -> Route | None:
        """The route of a model's name or alias."""
        return self._by_name.get(name)

    def serving(self, name: str, path: str) -> Route | None:
        """The route of a model's name or alias, if it serves *path*."""
        route = self._by_name.get(name)
        return route if route is not None and path in route.apis else None


class RoutingTable:
    """A manifest, ready to be asked.

    Attributes:
        manifest: what it was made from.
        sha256: of the file's bytes, in hex: by it ``apply`` sees which manifest is in use.
        created: time of the file, seconds since 1970; models report it as theirs.
    """

    __slots__ = ("_views", "created", "manifest", "sha256")

    def __init__(self, manifest: Manifest, *, sha256: str = "", created: int = 0) -> None:
        """Check what the gateway relies on.

        Raises:
            ManifestError: a name means two models, or a route falls back to what is no other model.
        """
        owners: dict[str, str] = {}
        for route in manifest.routes:
            for name in (route.model, *route.aliases):
                if owners.setdefault(name, route.model) != route.model or (
                    name == route.model and name in route.aliases
                ):
                    raise ManifestError(f"the name {name!r} means two models")
        models = {route.model for route in manifest.routes}
        if len(models) != len(manifest.routes):
            raise ManifestError("a model has two routes")
        for route in manifest.routes:
            if strangers := set(route.fallback) - models | ({route.model} & set(route.fallback)):
                raise ManifestError(f"model {route.model!r} cannot fall back to {', '.join(sorted(strangers))}")
        self.manifest = manifest
        self.sha256 = sha256
        self.created = created
        self._views: dict[tuple[str, ...], View] = {}

    def view(self, patterns: tuple[str, ...]) -> View:
        """What a client may use whose key has these *patterns* (fnmatch, case-sensitive).

        They are matched against the model that a name resolves to, never against an alias.
        """
        view = self._views.get(patterns)
        if view is None:
            allowed = [re.compile(translate(pattern)) for pattern in patterns]
            view = View(
                tuple(route for route in self.manifest.routes if any(pattern.match(route.model) for pattern in allowed))
            )
            self._views[patterns] = view
        return view
