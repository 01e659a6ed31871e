"""HTTP requests and WebSocket connections of an ASGI application."""

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from math import inf
from time import perf_counter
from typing import Any, Unpack

from exporter.instrument import _ticks, _trace
from exporter.instrument._guard import failed, guarded
from exporter.instrument._http import (
    CLIENT_GONE,
    CONNECTIONS,
    CONNECTIONS_TOTAL,
    DURATION,
    EXCEPTIONS,
    IN_PROGRESS,
    REQUESTS,
    RESPONSE_SIZE,
    bounded_method,
)
from exporter.instrument._layer import Layer, Options, Routes
from exporter.instrument._page import send_page
from exporter.instrument._request import Receive, Request, Scope, Send
from exporter.instrument._templates import UNMATCHED, Templates
from exporter.instrument._websockets import Connection
from exporter.store import OTHER, Store

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_SECONDS, _BYTES = DURATION.buckets, RESPONSE_SIZE.buckets
_FIRST_SECONDS, _FIRST_BYTES = _SECONDS[0], _BYTES[0]
# So many requests between two ticks are asked for their trace although nobody has had one.
_LOOKS = 20

__all__ = [
    "CONNECTIONS",
    "CONNECTIONS_TOTAL",
    "DURATION",
    "EXCEPTIONS",
    "IN_PROGRESS",
    "REQUESTS",
    "RESPONSE_SIZE",
    "HTTPMetrics",
]


class HTTPMetrics(Layer):
    """Pure ASGI middleware around a whole application; passes on every message untouched.

    `metrics_path` is answered here with the store's page ("" serves none), to those who send `token` as a
    bearer token where one is given. Requests to it, and to paths in `skip`, are not counted. `labels` and
    `tenant` add labels to the metrics: see `HTTPSeries`. With `exemplars`, durations keep trace ids.
    """

    def __init__(self, app: ASGIApp, store: Store, *, routes: Any = None, **options: Unpack[Options]) -> None:
        super().__init__(store, **options)
        self.app = app
        self._aside = tuple(path for path in (self._metrics_path, *self._skip) if path)
        self._templates = Templates(app if routes is None else routes)
        # By method, route, status and context: where the cells of a request are. The last two items keep the
        # objects behind the ids alive.
        self._known: dict[Any, tuple[Any, ...]] = {}
        # The same for each tenant; `_known` stays empty then, so that nobody pays for what is not asked for.
        self._known_by_tenant: dict[Any, tuple[Any, ...]] = {}
        self._in_flight: set[Request] = set()
        self._published: dict[tuple[str, str], int] = {}  # how many requests in progress others see
        self._publishing = threading.Lock()
        self._ticks_until = 0.0
        # A slow request is always asked for its trace; of the fast ones, as many as `_looks` says.
        self._looks = _LOOKS if self._exemplars else 0
        self._slow = _FIRST_SECONDS if self._exemplars else inf
        self._noted: set[tuple[Any, int]] = set()  # buckets that have had their exemplar since the last tick
        self._forget = store.at_scrape(self._publish)
        store.at_move(self._moved)
        store.at_fork(self._forked)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not a coroutine itself: a pass-through costs a third less.
        if not self.enabled:
            return self.app(scope, receive, send)
        kind = scope["type"]
        if kind == "http":
            if scope["path"].endswith(self._aside):
                path = scope["path"].removeprefix(scope.get("root_path", ""))
                if path == self._metrics_path and scope["method"] in ("GET", "HEAD"):
                    return send_page(self._page, scope, send)
                if path in self._skip:
                    return self.app(scope, receive, send)
            return self._http(scope, receive, send)
        if kind == "websocket":
            return self._websocket(scope, receive, send)
        return self._lifespan(scope, receive, send)

    def disable(self) -> None:
        """Stop counting and serving; the application goes on behind a plain pass-through."""
        super().disable()
        self._publish()
        self._forget()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request()
        request.layer = self
        request.scope = scope
        request.receive = receive
        request.send = send
        request.size = request.status = 0
        request.gone = request.done = False
        request.started = perf_counter()
        if request.started > self._ticks_until:
            self._start_ticking()
        in_flight = self._in_flight
        in_flight.add(request)
        try:
            await self.app(scope, request.listening, request.sending)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                request.gone = True
            elif not request.gone:
                request.status = 500
                self._count_exception(scope, error)
            raise
        finally:
            in_flight.discard(request)
            if not request.done:
                # An application that returns without an answer is turned into a 500 by its server.
                request.status = request.status or 500
                self.ended(request)

    def ended(self, request: Request) -> None:
        """Count a request, once. This runs with every request, so it does all itself and calls nobody."""
        request.done = True
        seconds = perf_counter() - request.started
        try:
            scope = request.scope
            route = scope["route"] if "route" in scope else None  # noqa: SIM401 - a fifth cheaper than get()
            status = CLIENT_GONE if request.gone else request.status
            if "fastapi" in scope:
                context = scope["fastapi"].get("effective_route_context")
                key: tuple[Any, ...] = (scope["method"], id(route), status, id(context))
            else:
                context, key = None, (scope["method"], id(route), status)
            known = self._known.get(key)
            if known is None:
                known = self._learn(key, scope, route, context)
            requests, n, durations, d, sizes, s, duration, _, _ = known
            # The same as inc() and observe(), without the calls.
            # Floats, because a cell takes them as they are; the first bucket is where most requests end.
            requests[n] += 1.0
            durations[d] += seconds
            bucket = 0 if seconds <= _FIRST_SECONDS else bisect_left(_SECONDS, seconds)
            durations[d + 1 + bucket] += 1.0
            size = request.size
            sizes[s] += size
            sizes[s + 1 if size <= _FIRST_BYTES else s + 1 + bisect_left(_BYTES, size)] += 1.0
            if self._looks or seconds > self._slow:
                self._exemplify(scope, duration, bucket, seconds)
        except Exception:
            failed(self._store, "http")

    def _exemplify(self, scope: Scope, duration: Any, bucket: int, seconds: float) -> None:
        if (duration, bucket) in self._noted:  # Prometheus takes one a scrape: one a tick is enough
            return
        trace = _trace.of_request(scope["headers"])
        if trace is None:
            self._looks = max(self._looks - 1, 0)
            return
        self._looks = _LOOKS
        if trace:
            duration.note(bucket, seconds, trace)
            self._noted.add((duration, bucket))

    def _learn(self, key: tuple[Any, ...], scope: Scope, route: Any, context: Any) -> tuple[Any, ...]:
        series, status = self._series, key[2]
        added = series.added(scope)
        known = self._known_by_tenant.get((key, added)) if series.by_tenant else None
        if known is not None:
            return known
        method, template, final = _method(scope), self._templates.of(scope), series.if_room(added)
        if series.by_tenant:
            series.requests.labels(method, template, "500", *final)  # announced: see `_announce`
        requests = series.requests.labels(method, template, str(status), *final)
        duration = series.duration.labels(method, template, f"{status // 100}xx", *final)
        size = series.size.labels(method, template, *final)
        known = (*requests.place, *duration.place, *size.place, duration, route, context)
        if self._is_settled(scope, method, template):
            if series.by_tenant:
                self._known_by_tenant[key, added] = known
            else:
                self._known[key] = known
        return known

    def _is_settled(self, scope: Scope, method: str, template: str) -> bool:
        """Whether the next request with this key has the same labels, and there are few such keys."""
        if method == OTHER:
            return False  # whoever invents methods must not fill the table
        route = scope.get("route")
        if route is None:  # a path that only its endpoint names is not
            return template == UNMATCHED and scope.get("endpoint") is None
        return not self._templates.is_ambiguous(route)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = Connection(self._store, self._series, send, lambda: self._templates.of(scope))
        try:
            await self.app(scope, receive, connection.sending)
        except Exception as error:
            self._count_exception(scope, error)
            raise
        finally:
            connection.end()

    def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        with guarded(self._store, "http"):
            self._start_ticking()
        return self.app(scope, receive, send)

    def _count_exception(self, scope: Scope, error: BaseException) -> None:
        with guarded(self._store, "http"):
            route = self._templates.of(scope)
            added = self._series.added(scope)
            self._series.exceptions.labels(route, type(error).__name__, *added).inc()

    def _publish(self) -> tuple[()]:
        """Tell how many requests are in progress: at scrapes, when the router has named their routes.

        As a difference, for several applications of a process may share the series.
        """
        self._noted.clear()
        self._looks = _LOOKS if self._exemplars else 0
        with self._publishing:
            counts = dict.fromkeys(self._published, 0)
            for request in list(self._in_flight) if self.enabled else ():
                key = (_method(request.scope), self._templates.of(request.scope))
                counts[key] = counts.get(key, 0) + 1
            live = self._series.in_progress.on(self._store)
            for key, count in counts.items():
                live.labels(*key, *self._series.constant).inc(count - self._published.get(key, 0))
            self._published = counts
        return ()

    def _moved(self) -> None:
        self._known.clear()
        self._known_by_tenant.clear()
        self._noted.clear()

    def _forked(self) -> None:
        """Leave the requests under way to the parent."""
        for request in self._in_flight:
            request.done = True
        self._in_flight.clear()
        self._published = {}
        self._publishing = threading.Lock()

    def _routes(self) -> Routes:
        return self._templates.all()

    def _start_ticking(self) -> None:
        """Publish gauges from the server's own loop, so that other workers see them."""
        self._announce()
        # Were the loop gone, a request that comes later than this would start anew.
        self._ticks_until = perf_counter() + 4 * _ticks.TICK_SECONDS
        if not _ticks.on_loop(self._tick):
            self._ticks_until = inf

    def _tick(self) -> bool:
        if self.enabled:
            self._store.tick()
            self._ticks_until = perf_counter() + 4 * _ticks.TICK_SECONDS
        return self.enabled


def _method(scope: Scope) -> str:
    return bounded_method(str(scope["method"]))
