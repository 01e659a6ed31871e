"""Around an ASGI application: the context of each request, its access line, and the flush at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Token
from time import perf_counter, time
from typing import Any

from exporter.instrument._context import CURRENT, Context, of_scope, span_ids
from exporter.instrument._http import CLIENT_GONE, bounded_method
from exporter.instrument._request import Message, Receive, Request, Scope, Send
from exporter.instrument._templates import UNMATCHED, Templates
from exporter.instrument.logs.line import Line
from exporter.instrument.logs.pipeline import Pipeline

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
LOGGER = "watchkeeper.access"
_ERROR, _INFO = 40, 20  # of the logging module


class ASGILogs:
    """Pure ASGI middleware, outermost: what runs inside finds the context, whatever task or thread it is in.

    Requests to a path in `skip` have a context, and no access line.
    """

    def __init__(
        self,
        app: ASGIApp,
        pipeline: Pipeline,
        *,
        routes: Any = None,
        skip: frozenset[str] = frozenset(),
        access: bool = True,
        response_header: str = "",
        at_start: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.enabled = True
        self._pipeline = pipeline
        self._templates = Templates(app if routes is None else routes)
        self._skip = skip
        self._access = access and pipeline.level <= _ERROR
        self._header = response_header.lower().encode("latin-1")
        self._at_start = at_start
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if not self.enabled:
            await self.app(scope, receive, send)
        elif kind == "http":
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._lifespan(scope, receive, send)

    def disable(self) -> None:
        """Write no more; the application goes on behind a plain pass-through."""
        self.enabled = False

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = self._begin(scope)
        if context is None:
            await self.app(scope, receive, send)
            return
        request = _Request()
        request.layer = self
        request.scope, request.context = scope, context
        request.receive, request.send = receive, send
        request.header = self._header
        request.size = request.status = 0
        request.gone = False
        # Counted as done already: there shall be no line.
        request.done = not self._access or (bool(self._skip) and self._is_aside(scope))
        request.started = perf_counter()
        token: Token[Context | None] | None = CURRENT.set(context)
        try:
            await self.app(scope, request.listening, request.sending)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                request.gone = True
            elif not request.gone:
                request.status = 500
            token = None  # the server is about to log this: with the trace of the request
            raise
        finally:
            if not request.done:
                request.status = request.status or 500
                self.ended(request)
            if token is not None:
                CURRENT.reset(token)

    def ended(self, request: Request) -> None:
        """Write the access line, once."""
        request.done = True
        try:
            milliseconds = (perf_counter() - request.started) * 1000
            status = CLIENT_GONE if request.gone else request.status
            assert isinstance(request, _Request)
            self._line(request.scope, request.context, request.scope["method"], milliseconds, status)
        except Exception:
            self._pipeline.failed()

    def _line(
        self, scope: Scope, context: Context, method: str, milliseconds: float, status: int | None
    ) -> None:
        severity, level = (_ERROR, "ERROR") if status and status >= 500 else (_INFO, "INFO")
        if severity < self._pipeline.level:
            return
        method, route = bounded_method(method) if status else method, self._templates.of(scope)
        text = f"{method} {route} {status}" if status else f"{method} {route} closed"
        line = Line(time(), level, severity, LOGGER, text, "production")
        line.endpoint, line.method = route, method
        line.duration_ms, line.status_code = milliseconds, status
        self._pipeline.access(line, context)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = self._begin(scope)
        if context is None:
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        token: Token[Context | None] | None = CURRENT.set(context)
        try:
            await self.app(scope, receive, send)
        except BaseException:
            token = None
            raise
        finally:
            if self._access and not self._is_aside(scope):
                try:
                    self._line(scope, context, "WEBSOCKET", (perf_counter() - started) * 1000, None)
                except Exception:
                    self._pipeline.failed()
            if token is not None:
                CURRENT.reset(token)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._start()
        self._pipeline.writer.open()

        async def sending(message: Message) -> None:
            # After this, servers let a signal end the process: from here on nothing may wait in the queue.
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await asyncio.get_running_loop().run_in_executor(None, self._pipeline.writer.close)
            await send(message)

        await self.app(scope, receive, sending)

    def _begin(self, scope: Scope) -> Context | None:
        """Return the context of the request; None where an application around this one has it in hand."""
        if not self._started:  # again, for some servers set up their logging after the application's start
            self._started = True
            self._start()
        try:
            current = CURRENT.get()
            context = of_scope(scope)
            if current is context:
                return None
            templates = self._templates

            def find() -> str:
                found = templates.of(scope)
                return "" if found == UNMATCHED else found

            context.find = find
        except Exception:
            self._pipeline.failed()
            return None
        return context

    def _start(self) -> None:
        try:
            self._at_start()
        except Exception:
            self._pipeline.failed()

    def _is_aside(self, scope: Scope) -> bool:
        return scope["path"].removeprefix(scope.get("root_path", "")) in self._skip


class _Request(Request):
    """A request that may tell its trace to the client."""

    __slots__ = ("context", "header")
    context: Context
    header: bytes

    def sending(self, message: Message) -> Awaitable[None]:
        if "status" in message:
            self.status = message["status"]
            span = span_ids()  # now, because it has ended when the access line is written
            if span is not None:
                self.context.trace_id, self.context.span_id = span
            if self.header and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), self._told()]}
            return self.send(message)
        return self.sending_body(message)

    def _told(self) -> tuple[bytes, bytes]:
        context = self.context
        value = context.traceparent() if self.header == b"traceparent" else context.ids()[0]
        return self.header, value.encode()
