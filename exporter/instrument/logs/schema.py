"""The fields of a line: our flat names, their names in the Elastic Common Schema, and what they hold."""

from dataclasses import dataclass
from typing import Literal

Schema = Literal["flat", "ecs"]
Kind = Literal["date", "keyword", "text", "number", "integer", "exception", "object"]

ECS_VERSION = "8.17.0"


@dataclass(frozen=True)
class Field:
    """One field of a line."""

    name: str
    ecs: str
    kind: Kind
    help: str


FIELDS = (
    Field("timestamp", "@timestamp", "date", "when, in UTC, to the microsecond"),
    Field("level", "log.level", "keyword", "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
    Field("service", "service.name", "keyword", "which application"),
    Field("trace_id", "trace.id", "keyword", "the request's trace, 32 hexadecimal digits"),
    Field("span_id", "span.id", "keyword", "the part of the trace, 16 hexadecimal digits"),
    Field("user_id", "user.id", "keyword", "whom the application has bound"),
    Field("endpoint", "http.route", "keyword", "the route template, never the path itself"),
    Field("method", "http.request.method", "keyword", "on access lines: the method"),
    Field("duration_ms", "event.duration", "number", "on access lines: milliseconds; ECS has nanoseconds"),
    Field("status_code", "http.response.status_code", "integer", "on access lines: the answer's status"),
    Field("message", "message", "text", "what happened"),
    Field("logger", "log.logger", "keyword", "the logger's name"),
    Field("log_class", "log_class", "keyword", "production, debug, audit or security"),
    Field("event_id", "event.id", "keyword", "unique, so that a line that is sent twice is kept once"),
    Field("exception", "error", "exception", "type, message and stack_trace of an exception"),
    Field("extra", "extra", "object", "what the application added"),
)
