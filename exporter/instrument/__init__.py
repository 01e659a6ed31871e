"""The half that runs inside an application: `obs = instrument(app)`."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client.registry import CollectorRegistry

from exporter.instrument import _frameworks, pools, queues
from exporter.instrument._http import HTTPSeries, Tenant
from exporter.instrument._layer import Options
from exporter.instrument._port import serve
from exporter.instrument.ai import AI
from exporter.instrument.asgi import HTTPMetrics
from exporter.instrument.caches import Cache
from exporter.instrument.scheduler import watch as watch_scheduler
from exporter.instrument.workflows import Workflow, Workflows
from exporter.instrument.wsgi import WSGIMetrics
from exporter.store import Store

if TYPE_CHECKING:  # imported when they are asked for
    from exporter.instrument.health import Health, HealthOptions
    from exporter.instrument.logs import Log, LogOptions
    from exporter.instrument.sentry import SentryOptions

_ATTRIBUTE = "_watchkeeper"


class Observer:
    """What an application holds to tell of itself; made by `instrument`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ai = AI(store)
        self._workflows = Workflows.of(store)
        self._undo: list[Callable[[], None]] = []
        self._log: Log | None = None

    @property
    def health(self) -> "Health":
        """What is checked in the background: `health.asyncpg("db", pool)`, `@health.check("billing")`."""
        from exporter.instrument.health import Health

        return Health.of(self.store)

    @property
    def log(self) -> "Log":
        """What speaks in log lines: `bind(user_id=...)`, `audit(...)`, `security(...)`, see its class."""
        if self._log is None:
            from exporter.instrument.logs import Log

            self._log = Log()
        return self._log

    def workflow(self, name: str) -> Workflow:
        """Count executions: `@obs.workflow("x")` on a function, or `with obs.workflow("x") as run`."""
        return Workflow(self._workflows, name)

    def step(self, name: str) -> Any:
        """Time a step of the workflow run that this code stands in: `with obs.step("fetch")`."""
        return self._workflows.step(name)

    def watch_pool(self, name: str, pool: Any) -> None:
        """Watch an asyncpg pool or an SQLAlchemy engine. Raises TypeError for anything else."""
        self._undo.append(pools.watch(self.store, name, pool))

    def watch_scheduler(self, scheduler: Any, name: str = "default") -> None:
        """Watch a scheduler of APScheduler 3. Raises TypeError for anything else."""
        self._undo.append(watch_scheduler(self.store, scheduler, name))

    def watch_queue(self, queue: Any, *names: str) -> None:
        """Watch an arq pool, an RQ queue or a Celery application on Redis. Raises TypeError for another.

        `names` are the queues to look at where the object does not say.
        """
        self._undo.append(queues.watch(self.store, queue, names))

    def watch_worker(self, worker: Any) -> None:
        """Time how long jobs waited for a worker of arq (or its settings class) or RQ."""
        self._undo.append(queues.watch_worker(self.store, worker))

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
        """Stop counting requests and AI calls, serving the metrics page and watching pools."""
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
    exemplars: bool = True,
    ai: bool = True,
    health: "bool | HealthOptions" = True,
    logs: "bool | LogOptions | Mapping[str, Any]" = False,
    sentry: "bool | SentryOptions | Mapping[str, Any] | None" = None,
) -> Observer:
    """Count the requests of an application and its calls to AI services, and serve its metrics page.

    `app` is a Starlette, FastAPI or Flask application, or what Django's `get_wsgi_application()` returned.
    A second call for the same application returns the same observer. Without an application (in a
    worker) it returns the helpers alone. `registry` is prometheus_client's own one by default, so what
    the application records there by itself is on the same page. Paths in `skip` are not counted. With a
    `token`, the metrics page asks for it as a bearer token; `metrics_path=""` serves none.

    `labels` are constant labels for all HTTP metrics. `tenant` is called with the ASGI scope or WSGI environ
    of each request that has been answered and gives the label `tenant`, "" for None: 100 values for each
    worker, then "other". Let it return what the application has authenticated, not what a client sent.

    With `exemplars`, a request that belongs to a trace leaves its id with the bucket that it was counted in,
    for those who ask for the page in the OpenMetrics format. The id is that of the current OpenTelemetry
    span, or else of the request's W3C `traceparent` header; the trace must be sampled. Without tracing this
    costs next to nothing.

    With `ai`, calls through the OpenAI and Anthropic SDKs are counted, see `exporter.instrument.ai`.

    With `health`, /health, /health/ready, /api/v1/health and /api/v1/health/detailed are answered where the
    application has no such routes itself, and not counted; options as keyword arguments of
    `exporter.instrument.health.HealthOptions`. `token` guards the detailed page too.

    With `logs`, everything that logs writes JSON lines that tell their request, and each request has a line;
    options as keyword arguments of `exporter.instrument.logs.LogOptions`.

    With `sentry`, errors and traces go to Sentry, with everything private taken out; options as keyword
    arguments of `exporter.instrument.sentry.SentryOptions`. None leaves it to the environment: it is on where
    there is a SENTRY_DSN, and the application has not started Sentry itself.

    Raises TypeError for an application that cannot be wrapped in place (wrap it with `asgi.HTTPMetrics` or
    `wsgi.WSGIMetrics` then), and ValueError when another one on the registry has other added labels.
    """
    known = getattr(app, _ATTRIBUTE, None)
    if isinstance(known, Observer):
        return known
    observer = Observer(Store.of(registry))
    _with_sentry(observer, app, sentry)  # first, because the SDK's layers belong inside of ours
    if app is None:
        return _with_logs(_with_ai(observer, ai), None, logs, ())
    options: Options = {
        "metrics_path": metrics_path,
        "skip": skip,
        "token": token,
        "labels": labels,
        "tenant": tenant,
        "exemplars": exemplars,
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
    _with_logs(_with_ai(observer, ai), app, logs, (metrics_path, *skip))
    if health is not False:  # outermost: who only asks for health leaves neither counts nor lines
        given: HealthOptions = {"token": token, **({} if health is True else health)}
        observer._undo.append(observer.health.watch(app, **given))
    return observer


def instrument_ai(registry: CollectorRegistry | None = None) -> Observer:
    """Count the AI calls of a program that serves no requests, such as a worker: `instrument()` alike."""
    return instrument(registry=registry)


def _with_ai(observer: Observer, wanted: bool) -> Observer:
    if wanted:
        observer._undo.append(observer.ai.switch_on())
    return observer


def _with_logs(
    observer: Observer, app: Any, wanted: "bool | LogOptions | Mapping[str, Any]", skip: tuple[str, ...]
) -> Observer:
    if wanted is not False:
        from exporter.instrument.logs import switch_on

        # Last, so that its layer is the outermost: what the others do has the context too.
        try:
            observer._log, undo = switch_on(app, observer.store, wanted, skip)
        except BaseException:  # options that cannot be, or a file: the application is left as it was
            observer.uninstrument()
            raise
        observer._undo.append(undo)
    return observer


def _with_sentry(
    observer: Observer, app: Any, wanted: "bool | SentryOptions | Mapping[str, Any] | None"
) -> None:
    if wanted or (wanted is None and os.environ.get("SENTRY_DSN", "").strip()):
        from exporter.instrument.sentry import switch_on

        undo = switch_on(observer.store, app, wanted)
        if undo is not None:
            observer._undo.append(undo)


def _watch_starlette(app: Any, store: Store, options: Options) -> Callable[[], None]:
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


__all__ = ["Observer", "instrument", "instrument_ai"]
