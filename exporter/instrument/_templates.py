"""Which route template answered a request: `/users/{id}`, never `/users/7`."""

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

UNMATCHED = "unmatched"


class Templates:
    """Finds the full template of a routed request, through mounts and included routers.

    Starlette and FastAPI put the matched route object into the scope. Its own path lacks the prefixes of
    the mounts it stands in, so these are learnt once by walking the application's routes.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._prefixes: dict[int, str] = {}
        self._endpoints: dict[int, str] = {}
        # Routes are kept alive here, so an id is never used again by another object.
        self._seen: list[Any] = []

    def of(self, scope: MutableMapping[str, Any]) -> str:
        """Return the template of a request, or `unmatched` while no route has been chosen."""
        route = scope.get("route")
        if route is None:
            return self._by_endpoint(scope.get("endpoint"))
        if id(route) not in self._prefixes:
            self._learn()
        prefix = self._prefixes.setdefault(id(route), "")
        return (prefix + _own_path(route, scope)) or "/"

    def all(self) -> Iterator[tuple[str, set[str]]]:
        """Yield the template and methods of every route that is known before the first request."""
        yield from _all(getattr(self._app, "routes", ()) or (), "")

    def _by_endpoint(self, endpoint: Any) -> str:
        """Old Starlette releases name only the endpoint."""
        if endpoint is None:
            return UNMATCHED
        if id(endpoint) not in self._endpoints:
            self._learn()
        return self._endpoints.setdefault(id(endpoint), UNMATCHED)

    def _learn(self) -> None:
        self._walk(getattr(self._app, "routes", ()) or (), "")

    def _walk(self, routes: Iterable[Any], prefix: str) -> None:
        for route in routes:
            self._seen.append(route)
            self._prefixes.setdefault(id(route), prefix)
            if hasattr(route, "endpoint"):
                path = prefix + (getattr(route, "path", "") or "")
                self._endpoints.setdefault(id(route.endpoint), path)
            included = getattr(route, "original_router", None)
            if included is not None:  # FastAPI's include_router: its prefix comes with the scope
                self._walk(included.routes, prefix)
                continue
            inner = getattr(route, "routes", None)
            if inner:  # a Mount (with a path) or a Host (without one)
                self._walk(inner, prefix + (getattr(route, "path", "") or ""))


def _own_path(route: Any, scope: MutableMapping[str, Any]) -> str:
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    if context is not None and context.original_route is route:
        return str(getattr(context.starlette_route, "path", None) or context.path_format)
    return getattr(route, "path", "") or ""


def _all(routes: Iterable[Any], prefix: str) -> Iterator[tuple[str, set[str]]]:
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is not None:
            for context in contexts():
                inner = context.starlette_route or context
                path = getattr(inner, "path", None) or getattr(inner, "path_format", "")
                yield f"{prefix}{path}", set(getattr(inner, "methods", None) or ())
            continue
        path = prefix + (getattr(route, "path", "") or "")
        if getattr(route, "routes", None):
            yield from _all(route.routes, path)
        elif getattr(route, "methods", None):
            yield path or "/", set(route.methods)
