"""One line on its way: what is known when something is logged, before it is scrubbed and written."""

import math
import traceback
from collections.abc import Mapping
from typing import Any

# Longer texts are cut before anything looks at them; the line as a whole is capped later.
LONGEST_TEXT = 32_768  # characters
_DEEPEST = 6
_MOST_ITEMS = 100
_WHOLE = 1 << 63  # stores take integers of 64 bits
LONGEST_VALUE = 8_192  # characters of a single added value


class Line:
    """One line; what does not apply is left as it is."""

    __slots__ = (
        "created",
        "duration_ms",
        "endpoint",
        "event_id",
        "exception",
        "extra",
        "level",
        "log_class",
        "logger",
        "message",
        "method",
        "severity",
        "span_id",
        "status_code",
        "trace_id",
        "user_id",
    )

    def __init__(
        self, created: float, level: str, severity: int, logger: str, message: str, log_class: str
    ) -> None:
        self.created = created  # seconds since 1970
        self.level = level
        self.severity = severity  # the level as a number of the logging module
        self.logger = logger
        self.message = message[:LONGEST_TEXT].rstrip("\n")
        self.log_class = log_class
        self.event_id = ""
        self.trace_id = self.span_id = self.endpoint = self.method = ""
        self.user_id: str | None = None
        self.duration_ms: float | None = None
        self.status_code: int | None = None
        self.exception: dict[str, str] | None = None
        self.extra: dict[str, Any] | None = None


def exception_of(given: object) -> dict[str, str] | None:
    """Return type, message and stack trace of an exception, of `sys.exc_info()`, or None.

    The stack trace has source lines, and never the values of variables.
    """
    error = given[1] if isinstance(given, tuple) and len(given) == 3 else given
    if not isinstance(error, BaseException):
        return None
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    stack = "".join(traceback.format_exception(error))
    if len(stack) > LONGEST_TEXT:
        stack = stack[-LONGEST_TEXT:]  # the end says what happened
    return {"type": name, "message": _text(error)[:LONGEST_VALUE], "stack_trace": stack}


def plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `plain` of what was added to a line; short texts and numbers need no look."""
    found = {}
    for name, value in list(fields.items())[:_MOST_ITEMS] if len(fields) > _MOST_ITEMS else fields.items():
        kind = type(value)
        if (kind is int and -_WHOLE < value < _WHOLE) or (kind is str and len(value) <= LONGEST_VALUE):
            found[name] = value
        else:
            found[name] = plain(value, 1)
    return found


def plain(value: Any, depth: int = 0) -> Any:
    """Return a copy that JSON can say, whatever is given: bounded, without cycles, without surprises."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE]
    if kind is int:
        return value if -_WHOLE < value < _WHOLE else str(value)[:LONGEST_VALUE]
    if kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else str(value)  # NaN is no JSON
    if depth >= _DEEPEST:
        return _text(value)[:LONGEST_VALUE]
    if isinstance(value, dict):
        pairs = list(value.items())[:_MOST_ITEMS]
        return {_text(key)[:LONGEST_VALUE]: plain(one, depth + 1) for key, one in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one, depth + 1) for one in list(value)[:_MOST_ITEMS]]
    return _text(value)[:LONGEST_VALUE]


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # str() of a stranger's object
        return f"<{type(value).__name__} that cannot be shown>"
