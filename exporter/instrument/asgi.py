"""HTTP requests and WebSocket connections of an ASGI application."""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from time import perf_counter
from typing import Any

from exporter.catalog import Sample
from exporter.instrument._guard import failed, guarded
from exporter.instrument._http import (
    CLIENT_GONE,
    CONNECTIONS,
    CONNECTIONS_TOTAL,
    DURATION,
    EXCEPTIONS,
    IN_PROGRESS,
    METHODS,
    REQUESTS,
    RESPONSE_SIZE,
    TICK_SECONDS,
    HTTPSeries,
    Tenant,
    bounded_method,
)
from exporter.instrument._page import Page
from exporter.instrument._templates import UNMATCHED, Templates
from exporter.store import OTHER, Store

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_SECONDS, _BYTES = DURATION.buckets, RESPONSE_SIZE.buckets
_FIRST_SECONDS, _FIRST_BYTES = _SECONDS[0], _BYTES[0]

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


class HTTPMetrics:
    """Pure ASGI middleware around a whole application; passes on every message untouched.

    `metrics_path` is answered here with the store's page ("" serves none), to those who send `token` as a
    bearer token where one is given. Requests to it, and to paths in `skip`, are not counted. `labels` and
    `tenant` add labels to the metrics: see `HTTPSeries`.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: Store,
        *,
        routes: Any = None,
        metrics_path: str = "/metrics",
        skip: tuple[str, ...] = (),
        token: str = "",
        labels: Mapping[str, str] | None = None,
        tenant: Tenant | None = None,
    ) -> None:
        self.app = app
        self.enabled = True
        self._store = store
        self._templates = Templates(app if routes is None else routes)
        self._metrics_path = metrics_path
        self._skip = frozenset(skip)
        self._page = Page(store, token)
        self._in_flight: set[_Request] = set()
        self._seen_in_flight: dict[tuple[str, str], int] = {}
        self._series = HTTPSeries(store, labels, tenant)
        # By method, route, context and status; the last two items keep the objects behind the ids alive.
        self._known: dict[tuple[str, int, int, int], tuple[Any, Any, Any, Any, Any]] = {}
        # The same for each tenant; `_known` stays empty then, so that nobody pays for what is not asked for.
        self._known_by_tenant: dict[Any, tuple[Any, Any, Any, Any, Any]] = {}
        self._announced = False
        self._ticks_until = 0.0
        self._forget = store.at_scrape(self._read_in_flight)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not a coroutine itself: a pass-through costs a third less.
        if not self.enabled:
            return self.app(scope, receive, send)
        kind = scope["type"]
        if kind == "http":
            path = scope["path"]
            if path.endswith(self._metrics_path) and self._is_metrics(scope):
                return self._serve(scope, send)
            if self._skip and path.removeprefix(scope.get("root_path", "")) in self._skip:
                return self.app(scope, receive, send)
            return self._http(scope, receive, send)
        if kind == "websocket":
            return self._websocket(scope, receive, send)
        self._announce()
        return self.app(scope, receive, send)

    def disable(self) -> None:
        """Stop counting and serving; the application goes on behind a plain pass-through."""
        self.enabled = False
        self._forget()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request()
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
                request.finish()

    def _record(self, scope: Scope, status: int, seconds: float, size: int) -> None:
        try:
            route = scope.get("route")
            routed = scope.get("fastapi")
            context = routed.get("effective_route_context") if routed else None
            key = (scope["method"], id(route), id(context), status)
            known = self._known.get(key)
            if known is None:
                known = self._learn(key, scope, route, context)
            # The same as inc() and observe(), without the calls: this runs with every request.
            # Floats, because a cell takes them as they are; the first bucket is where most requests end.
            requests, duration, sizes = known[0], known[1], known[2]
            requests._cells[requests._at] += 1.0
            cells, at = duration._cells, duration._at
            cells[at if seconds <= _FIRST_SECONDS else at + bisect_left(_SECONDS, seconds)] += 1.0
            cells[duration._sum] += seconds
            cells, at = sizes._cells, sizes._at
            cells[at if size <= _FIRST_BYTES else at + bisect_left(_BYTES, size)] += 1.0
            cells[sizes._sum] += size
        except Exception:
            failed(self._store, "http")

    def _learn(self, key: tuple[str, int, int, int], scope: Scope, route: Any, context: Any) -> Any:
        series, status = self._series, key[3]
        added = series.added(scope)
        known = self._known_by_tenant.get((key, added)) if series.by_tenant else None
        if known is not None:
            return known
        method, template, final = _method(scope), self._templates.of(scope), series.if_room(added)
        if series.by_tenant:
            series.requests.labels(method, template, "500", *final)  # announced: see `_announce`
        known = (
            series.requests.labels(method, template, str(status), *final),
            series.duration.labels(method, template, f"{status // 100}xx", *final),
            series.size.labels(method, template, *final),
            route,
            context,
        )
        # An invented method, or a path that only its endpoint names, must not fill the table.
        if method != OTHER and (
            route is not None or (template == UNMATCHED and scope.get("endpoint") is None)
        ):
            if series.by_tenant:
                self._known_by_tenant[key, added] = known
            else:
                self._known[key] = known
        return known

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted: list[str] = []
        series = self._series

        async def counting_send(message: Message) -> None:
            await send(message)
            if message["type"] == "websocket.accept" and not accepted:
                with guarded(self._store, "websocket"):
                    accepted.append(self._templates.of(scope))
                    series.connections.labels(accepted[0], *series.constant).inc()
                    series.connections_total.labels(accepted[0], *series.constant).inc()

        try:
            await self.app(scope, receive, counting_send)
        except Exception as error:
            self._count_exception(scope, error)
            raise
        finally:
            with guarded(self._store, "websocket"):
                for route in accepted:
                    series.connections.labels(route, *series.constant).dec()

    def _count_exception(self, scope: Scope, error: BaseException) -> None:
        with guarded(self._store, "http"):
            route = self._templates.of(scope)
            added = self._series.added(scope)
            self._series.exceptions.labels(route, type(error).__name__, *added).inc()

    def _read_in_flight(self) -> Iterator[Sample]:
        """Count at scrape time, because only then has the router named the route."""
        counts = self._seen_in_flight
        for key in counts:  # a route once seen stays at 0 rather than vanishing from its curve
            counts[key] = 0
        for request in list(self._in_flight):
            key = (_method(request.scope), self._templates.of(request.scope))
            counts[key] = counts.get(key, 0) + 1
        for (method, route), count in counts.items():
            yield Sample(self._series.in_progress, (method, route, *self._series.constant), count)

    def _announce(self) -> None:
        """Make the 500s of every known route exist at 0, so that the first one is seen as an increase."""
        if self._announced:
            return
        self._announced = True
        if self._series.by_tenant:  # nobody knows the tenants yet
            return
        with guarded(self._store, "http"):
            for template, methods in self._templates.all():
                for method in methods & METHODS:
                    self._series.requests.labels(method, template, "500", *self._series.constant)

    def _start_ticking(self) -> None:
        """Publish gauges twice a second from the server's own loop, so that other workers see them."""
        self._announce()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # another kind of loop: gauges are published at this worker's own scrapes
            self._ticks_until = float("inf")
            return

        def tick() -> None:
            if self.enabled:
                self._store.tick()
                # Were the loop gone, a request that comes later than this would start anew.
                self._ticks_until = perf_counter() + 4 * TICK_SECONDS
                loop.call_later(TICK_SECONDS, tick)

        self._ticks_until = perf_counter() + 4 * TICK_SECONDS
        loop.call_later(TICK_SECONDS, tick)

    def _is_metrics(self, scope: Scope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        return bool(self._metrics_path) and path == self._metrics_path and scope["method"] in ("GET", "HEAD")

    async def _serve(self, scope: Scope, send: Send) -> None:
        headers = {key.lower(): value.decode("latin-1") for key, value in scope["headers"]}
        answer = self._page.answer(
            authorization=headers.get(b"authorization", ""),
            accept=headers.get(b"accept", ""),
            accept_encoding=headers.get(b"accept-encoding", ""),
        )
        pairs = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        for piece in answer.body:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await _turn()
        await send({"type": "http.response.body", "body": b""})


class _Request:
    """One request while it is answered: an object, because as many closures cost twice as much."""

    __slots__ = ("done", "gone", "layer", "receive", "scope", "send", "size", "started", "status")
    layer: HTTPMetrics
    scope: Scope
    receive: Receive
    send: Send
    size: int  # bytes of the body sent so far
    status: int  # 0 until the answer begins
    gone: bool  # whether nobody listens any more
    done: bool  # whether it is counted
    started: float

    async def listening(self) -> Message:
        message = await self.receive()
        if not self.done and message["type"] == "http.disconnect":
            self.gone = True
        return message

    def sending(self, message: Message) -> Awaitable[None]:
        if "status" in message:  # the start of the answer; cheaper than comparing its type
            self.status = message["status"]
            return self.send(message)
        return self.sending_body(message)

    async def sending_body(self, message: Message) -> None:
        try:
            await self.send(message)
        except OSError:  # how servers say that nobody is listening (ASGI 2.4)
            self.gone = True
            raise
        if message["type"] != "http.response.body":
            return
        if "body" in message:
            self.size += len(message["body"])
        if not (self.done or message.get("more_body", False)):
            self.finish()

    def finish(self) -> None:
        """Count the request, once."""
        self.done = True
        status = CLIENT_GONE if self.gone else self.status
        self.layer._record(self.scope, status, perf_counter() - self.started, self.size)


async def _turn() -> None:
    """Let other requests have their turn."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    await asyncio.sleep(0)


def _method(scope: Scope) -> str:
    return bounded_method(str(scope["method"]))
