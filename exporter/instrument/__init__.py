"""The half that runs inside an application: `obs = instrument(app)`."""

from collections.abc import Callable
from typing import Any

from prometheus_client.registry import CollectorRegistry

from exporter.instrument import pools
from exporter.instrument.ai import AI
from exporter.instrument.asgi import HTTPMetrics
from exporter.instrument.caches import Cache
from exporter.instrument.workflows import Workflow, Workflows
from exporter.store import Store

_ATTRIBUTE = "_watchkeeper"


class Observer:
    """What an application holds to tell of itself; made by `instrument`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ai = AI(store)
        self._workflows = Workflows(store)
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
) -> Observer:
    """Count the requests of a Starlette or FastAPI application and serve its metrics page.

    A second call for the same application returns the same observer. Without an application (in a
    worker) it returns the helpers alone. `registry` is prometheus_client's own one by default, so what
    the application records there by itself is on the same page. Paths in `skip` are not counted.

    Raises TypeError for an application that cannot be wrapped in place; wrap it with
    `exporter.instrument.asgi.HTTPMetrics` then.
    """
    known = getattr(app, _ATTRIBUTE, None)
    if isinstance(known, Observer):
        return known
    observer = Observer(Store.of(registry))
    if app is None:
        return observer
    if not hasattr(app, "build_middleware_stack"):
        raise TypeError(
            f"instrument() takes a Starlette or FastAPI application, not {type(app).__name__}; "
            "wrap another ASGI application: HTTPMetrics(app, Store.of())"
        )
    build = app.build_middleware_stack
    layers: list[HTTPMetrics] = []

    def build_with_metrics() -> HTTPMetrics:
        # Outermost, whatever middleware the application adds later: it sees what the client sees.
        layer = HTTPMetrics(build(), observer.store, routes=app, metrics_path=metrics_path, skip=skip)
        layers.append(layer)
        return layer

    def undo() -> None:
        app.build_middleware_stack = build
        for layer in layers:
            layer.disable()
        delattr(app, _ATTRIBUTE)

    app.build_middleware_stack = build_with_metrics
    if app.middleware_stack is not None:  # it has answered requests already
        app.middleware_stack = build_with_metrics()
    setattr(app, _ATTRIBUTE, observer)
    observer._undo.append(undo)
    return observer


__all__ = ["Observer", "instrument"]
