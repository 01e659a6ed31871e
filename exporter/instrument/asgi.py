"""HTTP requests and WebSocket connections of an ASGI application."""

import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from exporter.catalog import Metric, Sample
from exporter.instrument._guard import guarded
from exporter.instrument._templates import Templates
from exporter.store import OTHER, Store
from exporter.store.text import CONTENT_TYPE

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUESTS = Metric(
    "http_requests_total",
    "counter",
    "Requests answered, by route template and exact status code (499: the client went away).",
    ("method", "route", "status"),
)
DURATION = Metric(
    "http_request_duration_seconds",
    "histogram",
    "Time from the request to the last byte of its answer; background tasks are not part of it.",
    ("method", "route", "status_class"),
    # The documented thresholds 0.2, 0.5, 1, 2 and 5 s are bounds, so alerts on them are exact.
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
IN_PROGRESS = Metric(
    "http_requests_in_progress", "gauge", "Requests being answered now.", ("method", "route")
)
EXCEPTIONS = Metric(
    "http_exceptions_total",
    "counter",
    "Exceptions that left the application unhandled, by type.",
    ("route", "exception"),
)
RESPONSE_SIZE = Metric(
    "http_response_size_bytes",
    "histogram",
    "Size of response bodies as sent.",
    ("method", "route"),
    # Factors of ten from a small JSON answer to a large download.
    buckets=(100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000),
)
CONNECTIONS = Metric("active_connections", "gauge", "WebSocket connections open now.", ("route",))
CONNECTIONS_TOTAL = Metric(
    "websocket_connections_total", "counter", "WebSocket connections accepted.", ("route",)
)

CLIENT_GONE = 499  # nginx's code, which the field has adopted
# RFC 9110 and PATCH; any other method comes from a scanner and shares one label value.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})


class HTTPMetrics:
    """Pure ASGI middleware around a whole application; passes on every message untouched.

    `metrics_path` is answered here with the store's page ("" serves none). Requests to it, and to paths
    in `skip`, are not counted.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: Store,
        *,
        routes: Any = None,
        metrics_path: str = "/metrics",
        skip: tuple[str, ...] = (),
    ) -> None:
        self.app = app
        self.enabled = True
        self._store = store
        self._templates = Templates(app if routes is None else routes)
        self._metrics_path = metrics_path
        self._skip = frozenset(skip)
        self._in_flight: set[_Request] = set()
        self._seen_in_flight: dict[tuple[str, str], int] = {}
        self._requests = REQUESTS.on(store)
        self._duration = DURATION.on(store)
        self._size = RESPONSE_SIZE.on(store)
        self._forget = store.at_scrape(self._read_in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if not self.enabled or kind not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if kind == "websocket":
            return await self._websocket(scope, receive, send)
        if path == self._metrics_path and scope["method"] in ("GET", "HEAD"):
            return await self._serve(send)
        if path in self._skip:
            return await self.app(scope, receive, send)
        return await self._http(scope, receive, send)

    def disable(self) -> None:
        """Stop counting and serving; the application goes on behind a plain pass-through."""
        self.enabled = False
        self._forget()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request(scope, receive, send, self._record)
        self._in_flight.add(request)
        try:
            await self.app(scope, request.receive, request.send)
        except BaseException as error:
            if isinstance(error, CancelledError):
                request.gone = True
            elif not request.gone:
                request.status = request.status if request.done else 500
                self._count_exception(scope, error)
            raise
        finally:
            self._in_flight.discard(request)
            if not request.done:
                self._record(request)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted: list[str] = []

        async def counting_send(message: Message) -> None:
            await send(message)
            if message["type"] == "websocket.accept" and not accepted:
                with guarded(self._store, "websocket"):
                    accepted.append(self._templates.of(scope))
                    CONNECTIONS.on(self._store).labels(accepted[0]).inc()
                    CONNECTIONS_TOTAL.on(self._store).labels(accepted[0]).inc()

        try:
            await self.app(scope, receive, counting_send)
        except Exception as error:
            self._count_exception(scope, error)
            raise
        finally:
            with guarded(self._store, "websocket"):
                for route in accepted:
                    CONNECTIONS.on(self._store).labels(route).dec()

    def _record(self, request: "_Request") -> None:
        elapsed = time.perf_counter() - request.started
        request.done = True
        with guarded(self._store, "http"):
            # An application that returns without an answer is turned into a 500 by its server.
            status = CLIENT_GONE if request.gone else request.status or 500
            method = _method(request.scope)
            route = self._templates.of(request.scope)
            self._requests.labels(method, route, str(status)).inc()
            self._duration.labels(method, route, f"{status // 100}xx").observe(elapsed)
            self._size.labels(method, route).observe(request.size)

    def _count_exception(self, scope: Scope, error: BaseException) -> None:
        with guarded(self._store, "http"):
            route = self._templates.of(scope)
            EXCEPTIONS.on(self._store).labels(route, type(error).__name__).inc()

    def _read_in_flight(self) -> Iterator[Sample]:
        """Count at scrape time, because only then has the router named the route."""
        counts = self._seen_in_flight
        for key in counts:  # a route once seen stays at 0 rather than vanishing from its curve
            counts[key] = 0
        for request in list(self._in_flight):
            key = (_method(request.scope), self._templates.of(request.scope))
            counts[key] = counts.get(key, 0) + 1
        for (method, route), count in counts.items():
            yield IN_PROGRESS.sample(count, method=method, route=route)

    async def _serve(self, send: Send) -> None:
        body = self._store.page()
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class _Request:
    """What is known of one request while it is answered; its own receive and send listen in."""

    __slots__ = ("_finish", "_receive", "_send", "done", "gone", "scope", "size", "started", "status")

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, finish: Callable[["_Request"], None]
    ) -> None:
        self.scope = scope
        self.status = 0
        self.size = 0
        self.gone = False
        self.done = False
        self._receive = receive
        self._send = send
        self._finish = finish
        self.started = time.perf_counter()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.done:
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # how servers say that nobody is listening (ASGI 2.4)
            self.gone = True
            raise
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
        elif kind == "http.response.body":
            self.size += len(message.get("body", b""))
            if not message.get("more_body", False) and not self.done:
                self._finish(self)


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in _METHODS else OTHER
