"""HTTP requests of a WSGI application, with the same metrics as through ASGI."""

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable
from http import HTTPStatus
from time import perf_counter
from typing import Any, Unpack

from exporter.instrument import _layer, _trace
from exporter.instrument._answer import Answer, Environ, StartResponse
from exporter.instrument._guard import failed, guarded
from exporter.instrument._http import DURATION, RESPONSE_SIZE
from exporter.instrument._layer import Layer, Options
from exporter.instrument._ticks import ThreadTicks
from exporter.store import Store

WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]
Routes = Callable[[], _layer.Routes]


class WSGIMetrics(Layer):
    """WSGI middleware around a whole application; what it answers passes through untouched.

    The options are those of `exporter.instrument.instrument`, which also knows how to ask Flask and Django
    for route templates. An application of another kind says which route it has chosen by
    `routed(environ, template)`; until then, a request is `unmatched`. `routes` gives the templates and
    methods that are known before the first request.
    """

    def __init__(
        self, app: WSGIApp, store: Store, *, routes: Routes = tuple, **options: Unpack[Options]
    ) -> None:
        super().__init__(store, **options)
        self.app = app
        self._known_routes = routes
        self._in_flight: dict[int, Answer] = {}
        self._gauges: dict[tuple[str, str], Any] = {}
        self._known: dict[tuple[str, ...], tuple[Any, ...]] = {}
        self._ticks = ThreadTicks.of(store)
        store.at_move(self._moved)
        store.at_fork(self._forked)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request as the application does."""
        path = environ.get("PATH_INFO", "")
        if not self.enabled or path in self._skip:
            return self.app(environ, start_response)
        is_page = bool(path) and path == self._metrics_path  # an empty path is the application's own
        if is_page and environ.get("REQUEST_METHOD") in ("GET", "HEAD"):
            return self._serve(environ, start_response)
        self._begin()
        answer = Answer(self, environ, start_response)
        self._in_flight[id(environ)] = answer
        self._in_progress(answer)
        try:
            body = self.app(environ, answer.start)
        except BaseException as error:
            answer.fail(error)
            raise
        return answer.around(body)

    def routed(self, environ: Environ, template: str) -> None:
        """Say which route answers the request under way with this environ."""
        answer = self._in_flight.get(id(environ))
        if answer is not None:
            answer.route = template
            self._look_for_trace(answer)
            self._in_progress(answer)

    def raised(self, environ: Environ, error: BaseException) -> None:
        """Count an exception that the application did not handle; once for each request."""
        answer = self._in_flight.get(id(environ))
        if answer is not None and not answer.raised:
            answer.raised = True
            with guarded(self._store, "http"):
                added = self._series.added(environ)
                self._series.exceptions.labels(answer.route, type(error).__name__, *added).inc()

    def started(self, answer: Answer) -> None:
        """Take note that an answer begins."""
        self._look_for_trace(answer)

    def ended(self, answer: Answer, status: str) -> None:
        """Record an answer whose last byte is out."""
        seconds = perf_counter() - answer.started
        self._in_flight.pop(id(answer.environ), None)
        try:
            if answer.gauge is not None:
                answer.gauge.dec()
            self._record(answer, status, seconds)
        except Exception:
            failed(self._store, "http")

    def _begin(self) -> None:
        with guarded(self._store, "http"):
            self._announce()
            self._ticks.ensure(perf_counter())

    def _in_progress(self, answer: Answer) -> None:
        """Count an answer as in progress under its route, as soon as that is known."""
        # Counted up and down rather than read at a scrape: a worker that is busy may not publish in time.
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

    def _look_for_trace(self, answer: Answer) -> None:
        # While the framework is at work, because its instrumentation ends the span before the last byte.
        if self._exemplars and answer.trace is None and "opentelemetry.trace" in sys.modules:
            with guarded(self._store, "http"):
                answer.trace = _trace.of_span()

    def _record(self, answer: Answer, status: str, seconds: float) -> None:
        key = (answer.method, answer.route, status, *self._series.added(answer.environ))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._learn(*key)
        # The same as inc() and observe(), without the calls: this runs with every request.
        cells, at = known[0], known[1]
        cells[at] += 1.0
        cells, at = known[2], known[3]
        cells[at] += seconds
        bucket = bisect_left(DURATION.buckets, seconds)
        cells[at + 1 + bucket] += 1.0
        cells, at = known[4], known[5]
        cells[at] += answer.size
        cells[at + 1 + bisect_left(RESPONSE_SIZE.buckets, answer.size)] += 1.0
        if self._exemplars:
            trace = answer.trace
            if trace is None and "HTTP_TRACEPARENT" in answer.environ:
                trace = _trace.of_header(answer.environ["HTTP_TRACEPARENT"].encode("latin-1", "replace"))
            if trace:
                known[6].note(bucket, seconds, trace)

    def _learn(self, method: str, route: str, status: str, *added: str) -> tuple[Any, ...]:
        series, final = self._series, self._series.if_room(added)
        if not (len(status) == 3 and status.isdecimal() and status.isascii()):
            raise ValueError(f"the application answers with the status {status!r}")
        # Not all methods of a route are known beforehand, and its tenants never are.
        series.requests.labels(method, route, "500", *final)
        requests = series.requests.labels(method, route, status, *final)
        duration = series.duration.labels(method, route, f"{status[0]}xx", *final)
        size = series.size.labels(method, route, *final)
        return (*requests.place, *duration.place, *size.place, duration)

    def _moved(self) -> None:
        self._known.clear()

    def _forked(self) -> None:
        """Leave the requests under way to the parent."""
        for answer in list(self._in_flight.values()):
            answer.done, answer.gauge = True, None
        self._in_flight.clear()

    def _routes(self) -> _layer.Routes:
        return self._known_routes()

    def _serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self._announce()
        answer = self._page.answer(
            authorization=environ.get("HTTP_AUTHORIZATION", ""),
            accept=environ.get("HTTP_ACCEPT", ""),
            accept_encoding=environ.get("HTTP_ACCEPT_ENCODING", ""),
        )
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers)
        return answer.body if environ.get("REQUEST_METHOD") == "GET" else ()
