"""Which route template answered a request: `/users/{id}`, never `/users/7`."""

import re
from collections.abc import Iterable, Iterator, MutableMapping
from functools import lru_cache
from typing import Any

UNMATCHED = "unmatched"


class Templates:
    """Finds the full template of a routed request, through mounts and included routers.

    Starlette and FastAPI put the matched route object into the scope. Its own path lacks the prefixes of
    the mounts it stands in, so these are learnt once by walking the application's routes.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._prefixes: dict[int, list[str]] = {}  # more than one where a route is mounted at several places
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
        prefixes = self._prefixes.setdefault(id(route), [""])
        prefix = prefixes[0] if len(prefixes) == 1 else _chosen(prefixes, scope)
        return (prefix + _own_path(route, scope)) or "/"

    def is_ambiguous(self, route: Any) -> bool:
        """Whether requests to this route may have several templates."""
        return len(self._prefixes.get(id(route), ())) > 1

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
            prefixes = self._prefixes.setdefault(id(route), [])
            if prefix not in prefixes:
                prefixes.append(prefix)
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


def _chosen(prefixes: list[str], scope: MutableMapping[str, Any]) -> str:
    """Return the prefix that the path of the mounts fits, to the last one as far as possible.

    A server may be behind a root path of its own, so the path of the mounts need not begin at the start.
    """
    mounted = scope.get("root_path", "")
    fitting = [prefix for prefix in prefixes if _pattern(prefix).search(mounted)]
    # The first that the router would try, but /b/a rather than /a.
    return max(fitting or prefixes[:1], key=lambda prefix: prefix.count("/"))


@lru_cache
def _pattern(prefix: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]*\})", prefix)
    any_of = {True: ".+", False: "[^/]+"}  # a path parameter may have slashes
    found = [any_of[":path}" in part] if part.startswith("{") else re.escape(part) for part in parts]
    return re.compile("".join(found) + "$")


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
