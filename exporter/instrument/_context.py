"""What belongs to the request under way: its trace, its user, its route. One mutable holder for each.

The holder stands in a ContextVar, and what is bound later is written into the holder, not into the variable.
So it is seen by whoever has a copy of the context: worker threads of sync endpoints, child tasks, and
everything around a middleware that runs the application in a task of its own.
"""

import re
import sys
from binascii import hexlify
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from os import urandom
from typing import Any

from exporter.instrument import _trace

# sentry-trace: trace id, span id and, where the caller has decided, whether it samples.
_SENTRY = re.compile(rb"([0-9a-f]{32})-([0-9a-f]{16})(?:-([01]))?")
# A trace of our own making is flagged as kept: its lines are in the logs, so an exemplar leads somewhere.
_KEPT, _NOT_KEPT = "01", "00"
_KEY = "watchkeeper.context"


class Context:
    """One request, or one piece of other work, as logs and error reports tell of it."""

    __slots__ = ("fields", "find", "flags", "made", "parent_id", "span_id", "template", "trace_id", "user_id")

    def __init__(self, trace_id: str = "", parent_id: str = "", flags: str = _KEPT) -> None:
        fresh = hexlify(urandom(24)).decode()
        self.made = not trace_id  # whether the trace begins here
        self.trace_id = trace_id or fresh[:32]
        self.span_id = fresh[32:]
        self.parent_id = parent_id
        self.flags = flags
        self.user_id: str | None = None
        self.template = ""  # the route template, once it is known
        self.find: Callable[[], str] | None = None  # asks the router for it
        self.fields: dict[str, Any] = {}  # further fields that the application has bound

    @property
    def endpoint(self) -> str:
        """The route template, "" while no route has been chosen."""
        if not self.template and self.find is not None:
            self.template = self.find()
        return self.template

    def ids(self) -> tuple[str, str]:
        """Return trace id and span id as of now: those of an OpenTelemetry span come first."""
        span = span_ids()
        if span is None:
            return self.trace_id, self.span_id
        self.trace_id = span[0]  # for the access line, which is written when the span has ended
        return span

    def traceparent(self) -> str:
        """Return the W3C header for calls that are made on behalf of this request."""
        trace, span = self.ids()
        return f"00-{trace}-{span}-{self.flags}"


CURRENT: ContextVar[Context | None] = ContextVar("watchkeeper_context", default=None)


def span_ids() -> tuple[str, str] | None:
    """Return trace id and span id of the current OpenTelemetry span; None when there is none."""
    # Never imported by us: where the application has not, there are no spans.
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    span = trace.get_current_span().get_span_context()
    return (f"{span.trace_id:032x}", f"{span.span_id:016x}") if span.is_valid else None


def of_headers(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """Return a context that continues the caller's trace, by traceparent or else sentry-trace."""
    sentry = None
    for name, value in headers:
        if name == b"traceparent":
            found = _trace.parts(value)
            if found is not None:
                return Context(*found)
        elif name == b"sentry-trace":
            sentry = _SENTRY.fullmatch(value)
    if sentry is None:
        return Context()
    flags = _NOT_KEPT if sentry[3] == b"0" else _KEPT
    return Context(sentry[1].decode(), sentry[2].decode(), flags)


def of_scope(scope: Any) -> Context:
    """Return the context of an ASGI request, always the same: whoever asks first makes it.

    A request without a `traceparent` gets one, so that all who look for the trace find this one.
    """
    known: Context | None = scope.get(_KEY)
    if known is None:
        headers = scope["headers"]
        known = scope[_KEY] = of_headers(headers)
        # With OpenTelemetry, which decides by that header what it samples, the application's span leads.
        if "opentelemetry.sdk.trace" not in sys.modules and not any(h[0] == b"traceparent" for h in headers):
            header = f"00-{known.trace_id}-{known.span_id}-{known.flags}"
            scope["headers"] = [*headers, (b"traceparent", header.encode())]
    return known


def of_environ(environ: dict[str, Any]) -> Context:
    """Return the context of a WSGI request, as `of_scope` does."""
    known: Context | None = environ.get(_KEY)
    if known is None:
        names = {"HTTP_TRACEPARENT": b"traceparent", "HTTP_SENTRY_TRACE": b"sentry-trace"}
        given = [
            (name, str(environ[key]).encode("latin-1", "replace"))
            for key, name in names.items()
            if key in environ
        ]
        known = environ[_KEY] = of_headers(given)
        if "opentelemetry.sdk.trace" not in sys.modules and "HTTP_TRACEPARENT" not in environ:
            environ["HTTP_TRACEPARENT"] = f"00-{known.trace_id}-{known.span_id}-{known.flags}"
    return known
