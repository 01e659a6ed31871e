"""HTTP requests of a WSGI application, with the same metrics as through ASGI."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Any

from exporter.instrument._guard import failed, guarded
from exporter.instrument._http import (
    CLIENT_GONE,
    DURATION,
    RESPONSE_SIZE,
    TICK_SECONDS,
    HTTPSeries,
    Tenant,
    bounded_method,
)
from exporter.instrument._page import Page
from exporter.instrument._templates import UNMATCHED
from exporter.store import Store

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]
# Templates and methods of the routes that are known before the first request.
Routes = Callable[[], Iterable[tuple[str, Iterable[str]]]]


class WSGIMetrics:
    """WSGI middleware around a whole application; what it answers passes through untouched.

    `metrics_path`, `skip`, `token`, `labels` and `tenant` are those of `exporter.instrument.instrument`,
    which also knows how to ask Flask and Django for route templates. An application of another kind says
    which route it has chosen by `routed(environ, template)`; until then, a request is `unmatched`.
    """

    def __init__(
        self,
        app: WSGIApp,
        store: Store,
        *,
        routes: Routes = tuple,
        metrics_path: str = "/metrics",
        skip: tuple[str, ...] = (),
        token: str = "",
        labels: Mapping[str, str] | None = None,
        tenant: Tenant | None = None,
    ) -> None:
        self.app = app
        self.enabled = True
        self._store = store
        self._series = HTTPSeries(store, labels, tenant)
        self._routes: Routes | None = routes
        self._metrics_path = metrics_path or None  # an empty path is the application's own
        self._skip = frozenset(skip)
        self._page = Page(store, token)
        self._in_flight: dict[int, _Answer] = {}
        self._gauges: dict[tuple[str, str], Any] = {}
        self._known: dict[tuple[str, ...], tuple[Any, Any, Any]] = {}
        self._next_tick = 0.0
        self._unsettled = False

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request as the application does."""
        path = environ.get("PATH_INFO", "")
        if not self.enabled or path in self._skip:
            return self.app(environ, start_response)
        if path == self._metrics_path and environ.get("REQUEST_METHOD") in ("GET", "HEAD"):
            return self._serve(environ, start_response)
        answer = _Answer(self, environ, start_response)
        self._in_flight[id(environ)] = answer
        self._in_progress(answer)
        try:
            body = self.app(environ, answer.start)
        except BaseException as error:
            answer.fail(error)
            raise
        return answer.around(body)

    def disable(self) -> None:
        """Stop counting and serving; the application goes on behind a plain pass-through."""
        self.enabled = False

    def routed(self, environ: Environ, template: str) -> None:
        """Say which route answers the request under way with this environ."""
        answer = self._in_flight.get(id(environ))
        if answer is not None:
            answer.route = template
            self._in_progress(answer)

    def raised(self, environ: Environ, error: BaseException) -> None:
        """Count an exception that the application did not handle; once for each request."""
        answer = self._in_flight.get(id(environ))
        if answer is not None and not answer.raised:
            answer.raised = True
            with guarded(self._store, "http"):
                added = self._series.added(environ)
                self._series.exceptions.labels(answer.route, type(error).__name__, *added).inc()

    def _in_progress(self, answer: "_Answer") -> None:
        """Count an answer as in progress under its route, as soon as that is known."""
        # Counted up and down rather than read at a scrape: a worker that is busy cannot publish.
        try:
            key = (answer.method, answer.route)
            gauge = self._gauges.get(key)
            if gauge is None:
                live = self._series.in_progress.on(self._store)
                gauge = self._gauges[key] = live.labels(*key, *self._series.constant)
            if answer.gauge is not None:
                answer.gauge.dec()
            gauge.inc()
            answer.gauge = gauge
        except Exception:
            failed(self._store, "http")

    def _leave(self, answer: "_Answer", status: str) -> None:
        """Record an answer whose last byte is out."""
        now = perf_counter()
        self._in_flight.pop(id(answer.environ), None)
        try:
            if answer.gauge is not None:
                answer.gauge.dec()
            self._record(answer, status, now - answer.started)
            if now > self._next_tick or (self._unsettled and not self._in_flight):
                self._tick(now)
        except Exception:
            failed(self._store, "http")

    def _record(self, answer: "_Answer", status: str, seconds: float) -> None:
        key = (answer.method, answer.route, status, *self._series.added(answer.environ))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._learn(*key)
        # The same as inc() and observe(), without the calls: this runs with every request.
        requests, duration, sizes = known
        requests._cells[requests._at] += 1
        cells = duration._cells
        cells[duration._at + bisect_left(DURATION.buckets, seconds)] += 1
        cells[duration._sum] += seconds
        cells = sizes._cells
        cells[sizes._at + bisect_left(RESPONSE_SIZE.buckets, answer.size)] += 1
        cells[sizes._sum] += answer.size

    def _learn(self, method: str, route: str, status: str, *added: str) -> tuple[Any, Any, Any]:
        series, final = self._series, self._series.if_room(added)
        if not (len(status) == 3 and status.isdecimal() and status.isascii()):
            raise ValueError(f"the application answers with the status {status!r}")
        # Not all methods of a route are known beforehand, and its tenants never are.
        series.requests.labels(method, route, "500", *final)
        return (
            series.requests.labels(method, route, status, *final),
            series.duration.labels(method, route, f"{status[0]}xx", *final),
            series.size.labels(method, route, *final),
        )

    def _tick(self, now: float) -> None:
        """Publish gauges for the other workers. There is no loop, so requests give the occasion."""
        self._announce()
        self._next_tick = now + TICK_SECONDS
        # What is published while others are under way would stay for ever if they were the last.
        self._unsettled = bool(self._in_flight)
        self._store.tick()

    def _announce(self) -> None:
        """Make the 500s of every known route exist at 0, so that the first one is seen as an increase."""
        routes, self._routes = self._routes, None
        if routes is None or self._series.by_tenant:
            return
        with guarded(self._store, "http"):
            for template, methods in routes():
                for method in methods:
                    self._series.requests.labels(
                        bounded_method(method), template, "500", *self._series.constant
                    )

    def _serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self._announce()
        answer = self._page.answer(
            authorization=environ.get("HTTP_AUTHORIZATION", ""),
            accept=environ.get("HTTP_ACCEPT", ""),
            accept_encoding=environ.get("HTTP_ACCEPT_ENCODING", ""),
        )
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers)
        return answer.body if environ.get("REQUEST_METHOD") == "GET" else ()


class _Answer:
    """One request under way. The server iterates over this, and so over what the application returned."""

    __slots__ = (
        "_body",
        "_done",
        "_headers",
        "_layer",
        "_next",
        "_start",
        "_status",
        "_write",
        "environ",
        "gauge",
        "method",
        "raised",
        "route",
        "size",
        "started",
    )

    def __init__(self, layer: WSGIMetrics, environ: Environ, start_response: StartResponse) -> None:
        self.started = perf_counter()
        self.environ = environ
        self.method = bounded_method(environ.get("REQUEST_METHOD", ""))
        self.route = UNMATCHED
        self.size = 0
        self.raised = False
        self.gauge: Any = None
        self._layer = layer
        self._start = start_response
        self._status = ""
        self._headers: Any = ()
        self._done = False

    def start(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Stand in for the server's start_response."""
        self._status, self._headers = status[:3], headers
        given = (status, headers) if exc_info is None else (status, headers, exc_info)
        self._write = self._start(*given)
        return self._count_written

    def around(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server shall iterate over."""
        self._body = body
        wrapper = self.environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper) and self._hooked(body):
            return body
        return _Counted(self) if hasattr(body, "__len__") else self

    def fail(self, error: BaseException) -> None:
        """End with an exception, which its server turns into a 500 or a broken answer."""
        if not self._done:
            self._layer.raised(self.environ, error)
            self._end("500")

    def __iter__(self) -> Iterator[bytes]:
        try:
            self._next = iter(self._body).__next__
        except BaseException as error:
            self.fail(error)
            raise
        return self

    def __next__(self) -> bytes:
        try:
            piece = self._next()
        except StopIteration:
            self._end(self._status or "500")
            raise
        except BaseException as error:
            self.fail(error)
            raise
        if isinstance(piece, bytes):  # else the server will complain, not we
            self.size += len(piece)
        return piece

    def close(self) -> None:
        """End a request: early when the server has not come to the end, because nobody is listening."""
        if not self._done:
            self._end(self._status or "500" if self._is_whole() else str(CLIENT_GONE))
        close = getattr(self._body, "close", None)
        if close is not None:
            close()

    def _end(self, status: str) -> None:
        if not self._done:
            self._done = True
            self._layer._leave(self, status)

    def _is_whole(self) -> bool:
        """Whether a server may rightly stop here: with all that was announced, or where no body is due."""
        if self.method == "HEAD" or self._status in ("", "204", "304"):
            return True
        length = self._declared_length()
        return length is not None and self.size >= length

    def _declared_length(self) -> int | None:
        for name, value in self._headers:
            if name.lower() == "content-length" and value.isdecimal():
                return int(value)
        return None

    def _count_written(self, piece: bytes) -> None:
        self._write(piece)
        self.size += len(piece)

    def _hooked(self, body: Any) -> bool:
        """A server sends its own file wrapper by itself, without iterating; only its end can be seen."""
        close = getattr(body, "close", None)

        def closed() -> None:
            self.size = self._declared_length() or 0
            self._end(self._status or "500")
            if close is not None:
                close()

        try:
            body.close = closed
        except (AttributeError, TypeError):
            return False
        return True


class _Counted:
    """The same for a list: some servers take a Content-Length from its one piece."""

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer
        self.close = answer.close

    def __len__(self) -> int:
        return len(self._answer._body)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)
