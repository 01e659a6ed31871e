"""What an application holds to speak of itself in lines: `obs.log`."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from exporter.instrument._context import CURRENT, Context
from exporter.instrument.logs.pipeline import Pipeline

P = ParamSpec("P")
R = TypeVar("R")


class Log:
    """Binds fields to the request under way, and writes lines that are kept for long.

    Without `logs` in `instrument()` there is no pipeline: then audit and security lines go to loggers of
    these names, and all else works on the context alone.
    """

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self._pipeline = pipeline

    def bind(self, **fields: Any) -> None:
        """Add fields to all further lines of this request: `bind(user_id="7", plan="pro")`.

        It may be called in any thread or task of the request; None takes a field away. Outside a request it
        does nothing: see `work`.
        """
        context = CURRENT.get()
        if context is None:
            return
        for name, value in fields.items():
            if name == "user_id":
                context.user_id = None if value is None else str(value)[:256]
            elif value is None:
                context.fields.pop(name, None)
            else:
                from exporter.instrument.logs.line import plain

                context.fields[name] = plain(value, 1)

    @contextmanager
    def work(self, endpoint: str = "", traceparent: str = "", **fields: Any) -> Iterator[None]:
        """Give work outside a request, such as a job, a context of its own: `with obs.log.work("nightly")`.

        A `traceparent` that came with the job continues its trace.
        """
        from exporter.instrument._context import of_headers

        context = of_headers([(b"traceparent", traceparent.encode("latin-1", "replace"))])
        context.template = endpoint
        token = CURRENT.set(context)
        try:
            self.bind(**fields)
            yield
        finally:
            CURRENT.reset(token)

    def carry(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function with this request's context, for a thread or an executor that copies none."""
        context = copy_context()

        def carried(*args: P.args, **kwargs: P.kwargs) -> R:
            # A copy each time, because a context cannot be entered by two threads at once.
            return context.copy().run(function, *args, **kwargs)

        return carried

    @property
    def context(self) -> Context | None:
        """The context of the request under way, None outside of one."""
        return CURRENT.get()

    @property
    def trace_id(self) -> str:
        """The trace of the request under way, "" outside of one."""
        context = CURRENT.get()
        return context.ids()[0] if context is not None else ""

    def trace_headers(self) -> dict[str, str]:
        """Return the headers that continue the trace in another service; none outside a request."""
        context = CURRENT.get()
        return {} if context is None else {"traceparent": context.traceparent()}

    def audit(self, message: str, **fields: Any) -> None:
        """Write who did what: kept for a year, never dropped, written before this returns."""
        self._write("audit", message, fields)

    def security(self, message: str, **fields: Any) -> None:
        """Write what concerns security: kept for two years, never dropped, written before this returns."""
        self._write("security", message, fields)

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until all lines so far are written; False when that took too long."""
        return True if self._pipeline is None else self._pipeline.writer.flush(seconds)

    def use_structlog(self) -> None:
        """Make structlog's loggers write through us. Raises ImportError where there is no structlog."""
        from exporter.instrument.logs import with_structlog

        with_structlog.configure(self._needed())

    def use_loguru(self) -> None:
        """Make loguru's logger write through us, and nowhere else. Raises ImportError without loguru."""
        from exporter.instrument.logs import with_loguru

        with_loguru.configure(self._needed())

    def structlog_processor(self) -> Callable[..., Any]:
        """Return the last processor of a chain of structlog's that the application has set up itself."""
        from exporter.instrument.logs import with_structlog

        return with_structlog.processor(self._needed())

    def loguru_sink(self) -> Callable[[Any], None]:
        """Return a sink to add to loguru's logger beside others."""
        from exporter.instrument.logs import with_loguru

        return with_loguru.sink(self._needed())

    def _needed(self) -> Pipeline:
        if self._pipeline is None:
            raise RuntimeError("logs are off: instrument(app, logs=True)")
        return self._pipeline

    def _write(self, log_class: str, message: str, fields: dict[str, Any]) -> None:
        if self._pipeline is None:
            extra = {"log_class": log_class, **{f"field_{name}": one for name, one in fields.items()}}
            logging.getLogger(log_class).info(message, extra=extra)
            return
        self._pipeline.submit(
            time.time(),
            "INFO",
            logging.INFO,
            log_class,
            message,
            log_class=log_class,
            extra=fields,
        )
