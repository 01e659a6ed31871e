"""The half that runs inside an application: `obs = instrument(app)`."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client.registry import CollectorRegistry

from exporter.instrument import _frameworks, pools
from exporter.instrument._http import HTTPSeries, Tenant
from exporter.instrument._port import serve
from exporter.instrument.ai import AI
from exporter.instrument.asgi import HTTPMetrics
from exporter.instrument.caches import Cache
from exporter.instrument.workflows import Workflow, Workflows
from exporter.instrument.wsgi import WSGIMetrics
from exporter.store import Store

_ATTRIBUTE = "_watchkeeper"


class Observer:
    """What an application holds to tell of itself; made by `instrument`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ai = AI(store)
        self._workflows = Workflows.of(store)
        self._undo: list[Callable[[], None]] = []

    def workflow(self, name: str) -> Workflow:
        """Count executions: `@obs.workflow("x")` on a function, or `with obs.workflow("x") as run`."""
        return Workflow(self._workflows, name)

    def step(self, name: str) -> Any:
        """Time a step of the workflow run that this code stands in: `with obs.step("fetch")`."""
        return self._workflows.step(name)

    def watch_pool(self, name: str, pool: Any) -> None:
        """Watch an asyncpg pool or an SQLAlchemy engine. Raises TypeError for anything else."""
        self._undo.append(pools.watch(self.store, name, pool))

    def cache(self, name: str) -> Cache:
        """Return the counter of a cache's lookups: call its `hit()` or `miss()`."""
        return Cache(self.store, name)

    def serve_metrics(self, port: int, address: str = "127.0.0.1", token: str = "") -> Callable[[], None]:
        """Serve the metrics page on a port of its own; return the function that stops it.

        Every worker may call this: the first that gets the port serves the numbers of all, and when it
        ends another one takes over. A port that is taken is tried again and again, without an exception.
        Raises OSError for a port that cannot be had for another reason. Use `metrics_path=""` with
        `instrument` if the application itself shall serve none.
        """
        stop = serve(self.store, port, address, token)
        self._undo.append(stop)
        return stop

    def uninstrument(self) -> None:
        """Stop counting requests, serving the metrics page and watching pools."""
        while self._undo:
            self._undo.pop()()


def instrument(
    app: Any = None,
    *,
    registry: CollectorRegistry | None = None,
    metrics_path: str = "/metrics",
    skip: tuple[str, ...] = (),
    token: str = "",
    labels: Mapping[str, str] | None = None,
    tenant: Tenant | None = None,
) -> Observer:
    """Count the requests of an application and serve its metrics page.

    `app` is a Starlette, FastAPI or Flask application, or what Django's `get_wsgi_application()` returned.
    A second call for the same application returns the same observer. Without an application (in a
    worker) it returns the helpers alone. `registry` is prometheus_client's own one by default, so what
    the application records there by itself is on the same page. Paths in `skip` are not counted. With a
    `token`, the metrics page asks for it as a bearer token; `metrics_path=""` serves none.

    `labels` are constant labels for all HTTP metrics. `tenant` is called with the ASGI scope or WSGI environ
    of each request that has been answered and gives the label `tenant`, "" for None: 100 values for each
    worker, then "other". Let it return what the application has authenticated, not what a client sent.

    Raises TypeError for an application that cannot be wrapped in place (wrap it with `asgi.HTTPMetrics` or
    `wsgi.WSGIMetrics` then), and ValueError when another one on the registry has other added labels.
    """
    known = getattr(app, _ATTRIBUTE, None)
    if isinstance(known, Observer):
        return known
    observer = Observer(Store.of(registry))
    if app is None:
        return observer
    options: dict[str, Any] = {
        "metrics_path": metrics_path,
        "skip": skip,
        "token": token,
        "labels": labels,
        "tenant": tenant,
    }
    if hasattr(app, "build_middleware_stack"):
        undo = _watch_starlette(app, observer.store, options)
    elif _frameworks.is_flask(app):
        undo = _frameworks.watch_flask(app, observer.store, functools.partial(WSGIMetrics, **options))
    elif _frameworks.is_django(app):
        undo = _frameworks.watch_django(app, observer.store, functools.partial(WSGIMetrics, **options))
    else:
        raise TypeError(
            "instrument() takes a Starlette, FastAPI or Flask application, or Django's WSGI handler, "
            f"not {type(app).__name__}; wrap another one: asgi.HTTPMetrics(app, Store.of()) "
            "or wsgi.WSGIMetrics(app, Store.of())"
        )
    setattr(app, _ATTRIBUTE, observer)
    observer._undo += [functools.partial(delattr, app, _ATTRIBUTE), undo]
    return observer


def _watch_starlette(app: Any, store: Store, options: dict[str, Any]) -> Callable[[], None]:
    HTTPSeries(store, options["labels"], options["tenant"])  # now, because the layer is made much later
    build = app.build_middleware_stack
    layers: list[HTTPMetrics] = []

    def build_with_metrics() -> HTTPMetrics:
        # Outermost, whatever middleware the application adds later: it sees what the client sees.
        layer = HTTPMetrics(build(), store, routes=app, **options)
        layers.append(layer)
        return layer

    def undo() -> None:
        app.build_middleware_stack = build
        for layer in layers:
            layer.disable()

    app.build_middleware_stack = build_with_metrics
    if app.middleware_stack is not None:  # it has answered requests already
        app.middleware_stack = build_with_metrics()
    return undo


__all__ = ["Observer", "instrument"]
