"""Which trace a request belongs to: of the OpenTelemetry span around it, or of its traceparent header."""

import re
import sys
from binascii import unhexlify
from collections.abc import Iterable

# Of a trace that nobody keeps: there is tracing, but an exemplar would lead to nothing.
NOT_KEPT = b""
# https://www.w3.org/TR/trace-context/#traceparent-header: version, trace id, span id, flags; later versions
# may append more. Version ff and ids of zeros alone are forbidden.
_HEADER = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = b"13579bdf"  # second digits of flags whose lowest bit is set


def of_span() -> bytes | None:
    """Return the trace id of the current OpenTelemetry span, 16 bytes; None when there is none."""
    # Never imported by us: where the application has not, there are no spans.
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return bytes(context.trace_id.to_bytes(16, "big")) if context.trace_flags.sampled else NOT_KEPT


def of_header(value: bytes) -> bytes | None:
    """Return the trace id of a traceparent header, 16 bytes; None for what is malformed."""
    found = _HEADER.fullmatch(value)
    if found is None:
        return None
    trace, flags = found.groups()
    return unhexlify(trace) if flags[1:] in _SAMPLED else NOT_KEPT


def parts(value: bytes) -> tuple[str, str, str] | None:
    """Return trace id, span id and flags of a traceparent header in hexadecimal digits; None if malformed."""
    found = _HEADER.fullmatch(value)
    if found is None:
        return None
    return found[1].decode(), value[36:52].decode(), found[2].decode()


def of_request(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the trace id of an ASGI request that is being answered; the span is asked first."""
    found = of_span()
    if found is None:
        for name, value in headers:
            if name == b"traceparent":
                return of_header(value)
    return found
