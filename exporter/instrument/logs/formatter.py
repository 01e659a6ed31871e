"""Writes a line as JSON: our flat fields or the Elastic Common Schema, scrubbed, 32 kB at most."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Any

from exporter.instrument.logs.line import Line
from exporter.instrument.logs.schema import ECS_VERSION, FIELDS, Schema

LONGEST_LINE = 32_768  # bytes, with the line feed; what the shippers and their stores take without cutting
WITHHELD = "[withheld: it could not be scrubbed]"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode

Scrub = Callable[[Any], Any]


class Formatter:
    """Turns lines into bytes.

    `scrub` gets a text, or a dict of plain values, and returns the same without what must not leave the
    process. If it fails, the text is withheld, and `on_failure` is told.
    """

    def __init__(
        self,
        service: str,
        schema: Schema = "flat",
        scrub: Scrub | None = None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._ecs = schema == "ecs"
        names = {field.name: field.ecs if self._ecs else field.name for field in FIELDS}
        # What stands before each value, so that a line is put together from ready pieces.
        self._keys = {name: f',"{written}":' for name, written in names.items()}
        self._open = f'{{"{names["timestamp"]}":"'
        self._service = self._keys["service"] + _quoted(service)
        self._close = f',"ecs.version":"{ECS_VERSION}"}}\n' if self._ecs else "}\n"
        self._scrub = scrub
        self._on_failure = on_failure
        self._stamp = (-1, "")  # the second that was written last, and how
        self._heads: dict[tuple[str, str, str], str] = {}
        self._user = lru_cache(1024)(self._clean)  # a request has one user and many lines

    def format(self, line: Line) -> bytes:
        """Return the line as JSON in UTF-8, with a line feed."""
        message, exception, extra = line.message, line.exception, line.extra
        if self._scrub is not None:
            if line.duration_ms is None:  # an access line has no text of the application's
                message = self._clean(message)
            if exception is not None:
                exception = self._clean(exception)
            if extra is not None:
                extra = self._clean(extra)
        written = self._written(line, message, exception, extra)
        if len(written) > LONGEST_LINE:
            return self._shortened(line, message, exception, extra)
        return written

    def _clean(self, value: Any) -> Any:
        if self._scrub is None:
            return value
        try:
            return self._scrub(value)
        except Exception:
            self._on_failure()
            return {"withheld": WITHHELD} if isinstance(value, dict) else WITHHELD

    def _written(self, line: Line, message: str, exception: Any, extra: Any) -> bytes:
        keys = self._keys
        text = f'{self._open}{self._time(line.created)}"{self._head(line)}{keys["event_id"]}"{line.event_id}"'
        if line.trace_id:
            text += f'{keys["trace_id"]}"{line.trace_id}"{keys["span_id"]}"{line.span_id}"'
        if line.user_id is not None:
            text += keys["user_id"] + _quoted(self._user(line.user_id))
        if line.endpoint:
            text += keys["endpoint"] + _quoted(line.endpoint)
        if line.duration_ms is not None:
            # ECS counts in nanoseconds.
            took = int(line.duration_ms * 1e6) if self._ecs else round(line.duration_ms, 3)
            text += f"{keys['method']}{_quoted(line.method)}{keys['duration_ms']}{took}"
        if line.status_code is not None:
            text += f"{keys['status_code']}{line.status_code}"
        text += keys["message"] + _quoted(message)
        if exception is not None:
            text += keys["exception"] + _encode(exception)
        if extra:
            text += keys["extra"] + _encode(extra)
        # Half of a pair of surrogates is no UTF-8; backslashed, it is good JSON.
        return (text + self._close).encode(errors="backslashreplace")

    def _shortened(self, line: Line, message: str, exception: Any, extra: Any) -> bytes:
        """Return what of a long line fits: the start of the message, the end of the stack trace."""
        if extra and len(_encode(extra)) > LONGEST_LINE // 4:
            extra = None
        extra = {**(extra or {}), "truncated": True}
        # A character may take six bytes, so one length in characters does not do.
        for limit in (LONGEST_LINE // 2, LONGEST_LINE // 8, LONGEST_LINE // 32):
            cut = exception and {
                key: text[-limit:] if key == "stack_trace" else text[:limit]
                for key, text in exception.items()
            }
            written = self._written(line, message[:limit], cut, extra)
            if len(written) <= LONGEST_LINE:
                return written
        return self._written(line, message[:limit], None, {"truncated": True})

    def _time(self, created: float) -> str:
        second = int(created)
        known, stamp = self._stamp  # one look, for several threads may be here
        if second != known:
            stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._stamp = (second, stamp)
        return f"{stamp}.{int((created - second) * 1e6):06d}Z"

    def _head(self, line: Line) -> str:
        """Return the fields of which there are few combinations."""
        key = (line.level, line.logger, line.log_class)
        head = self._heads.get(key)
        if head is None:
            keys = self._keys
            head = (
                f"{keys['level']}{_quoted(line.level)}{self._service}{keys['logger']}{_quoted(line.logger)}"
                f'{keys["log_class"]}"{line.log_class}"'
            )
            if len(self._heads) < 1000:
                self._heads[key] = head
        return head
