"""Around a WSGI application: the context of each request and its access line."""

from collections.abc import Callable, Iterable
from time import perf_counter, time
from typing import Any

from exporter.instrument._answer import Answer, Environ, StartResponse
from exporter.instrument._context import CURRENT, Context, of_environ, span_ids
from exporter.instrument._templates import UNMATCHED
from exporter.instrument.logs.asgi import LOGGER
from exporter.instrument.logs.line import Line
from exporter.instrument.logs.pipeline import Pipeline


class WSGILogs:
    """WSGI middleware; Flask and Django tell it their routes as they tell `wsgi.WSGIMetrics`."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        store: object = None,
        *,
        pipeline: Pipeline,
        routes: object = None,
        skip: frozenset[str] = frozenset(),
        access: bool = True,
        response_header: str = "",
        at_start: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.enabled = True
        self._pipeline = pipeline
        self._skip = skip
        self._access = access
        self._header = response_header
        self._at_start = at_start
        self._started = False

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request as the application does."""
        context = self._begin(environ) if self.enabled else None
        if context is None:
            return self.app(environ, start_response)
        answer = Answer(self, environ, self._telling(context, start_response))
        # A thread answers one request after the other, so this one's context stands until the next: the
        # body is made, and errors are logged by the server, after this call.
        CURRENT.set(context)
        try:
            body = self.app(environ, answer.start)
        except BaseException as error:
            answer.fail(error)
            raise
        return answer.around(body)

    def disable(self) -> None:
        """Write no more; the application goes on behind a plain pass-through."""
        self.enabled = False

    def routed(self, environ: Environ, template: str) -> None:
        """Say which route answers the request with this environ."""
        of_environ(environ).template = template

    def raised(self, environ: Environ, error: BaseException) -> None:
        """Nothing: the framework or the server logs the exception."""

    def started(self, answer: Answer) -> None:
        """Take note of a span of OpenTelemetry, which has ended when the access line is written."""
        span = span_ids()
        if span is not None:
            context = of_environ(answer.environ)
            context.trace_id, context.span_id = span

    def ended(self, answer: Answer, status: str) -> None:
        """Write the access line."""
        try:
            if self._access and answer.environ.get("PATH_INFO", "") not in self._skip:
                self._line(answer, int(status))
        except Exception:
            self._pipeline.failed()

    def _line(self, answer: Answer, status: int) -> None:
        severity, level = (40, "ERROR") if status >= 500 else (20, "INFO")
        if severity < self._pipeline.level:
            return
        context = of_environ(answer.environ)
        route = context.template or UNMATCHED
        line = Line(time(), level, severity, LOGGER, f"{answer.method} {route} {status}", "production")
        line.endpoint, line.method, line.status_code = route, answer.method, status
        line.duration_ms = (perf_counter() - answer.started) * 1000
        self._pipeline.access(line, context)

    def _begin(self, environ: Environ) -> Context | None:
        try:
            if not self._started:
                self._started = True
                self._at_start()
            context = of_environ(environ)
        except Exception:
            self._pipeline.failed()
            return None
        return None if CURRENT.get() is context else context

    def _telling(self, context: Context, start_response: StartResponse) -> StartResponse:
        if not self._header:
            return start_response

        def start(status: str, headers: Any, *rest: Any) -> Any:
            value = context.traceparent() if self._header == "traceparent" else context.ids()[0]
            return start_response(status, [*headers, (self._header, value)], *rest)

        return start
