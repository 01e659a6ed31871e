"""From a logging call to the writer: who asks, which class, whether it is kept, what is counted."""

import itertools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from exporter.catalog import Metric
from exporter.instrument._context import CURRENT, Context, span_ids
from exporter.instrument._guard import FAILURES
from exporter.instrument.logs.classes import KEPT, Classes
from exporter.instrument.logs.formatter import Formatter, Scrub
from exporter.instrument.logs.line import Line, exception_of, plain_fields
from exporter.instrument.logs.options import LogOptions
from exporter.instrument.logs.schema import Schema
from exporter.instrument.logs.sink import File, Sink, of_stdout
from exporter.instrument.logs.writer import Writer
from exporter.store import Store

RECORDS = Metric(
    "log_records_total",
    "counter",
    "Log lines by level and class, without those that sampling left out.",
    ("level", "log_class"),
)
DROPPED = Metric(
    "log_records_dropped_total",
    "counter",
    "Log lines that were lost: the queue was full, or they could not be written.",
    ("log_class",),
)

_LEVELS = ((50, "CRITICAL"), (40, "ERROR"), (30, "WARNING"), (20, "INFO"), (-1_000_000, "DEBUG"))
_LONGEST_NAME = 256


class Pipeline:
    """What all ways of logging end in: the standard library's, structlog, loguru, and the access lines."""

    def __init__(self, store: Store, options: LogOptions, sink: Sink | None = None) -> None:
        self._store = store
        self.level: int = logging.getLevelNamesMapping()[options.level]
        self._classes = Classes(options.classes)
        self._sample = {name: share for name, share in options.sample.items() if share < 1}
        self._counters: dict[tuple[int, str], Any] = {}
        self._dropped = DROPPED.on(store)
        if sink is None:
            sink = File(Path(options.file), options.file_bytes) if options.file else of_stdout()
        schema: Schema = "ecs" if options.schema == "ecs" else "flat"
        formatter = Formatter(options.service, schema, scrubber(options.scrub, store), self.failed)
        self.writer = Writer(formatter.format, sink, options.queue, self._lost)
        for name in ("production", "debug", "audit", "security"):
            self._dropped.labels(name).inc(0)  # so that the first loss is seen as an increase
        self._renew()
        store.at_fork(self._renew)

    def _renew(self) -> None:
        """Begin another series of event ids, for this process alone."""
        self._ids = (os.urandom(8).hex(), itertools.count())

    def failed(self) -> None:
        """Count a failure of ours; not logged, for that might fail the same way."""
        FAILURES.on(self._store).labels("logs").inc()

    def submit(
        self,
        created: float,
        level: str,
        severity: int,
        logger: str,
        message: str,
        *,
        log_class: object = None,
        error: object = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a line with the context of the caller. Never raises."""
        try:
            name = logger if len(logger) <= _LONGEST_NAME else logger[:_LONGEST_NAME]
            chosen = self._classes.of(severity, name, log_class)
            line = Line(created, level, severity, name, message, chosen)
            context = CURRENT.get()
            if context is not None:
                _with_context(line, context)
            elif (span := span_ids()) is not None:
                line.trace_id, line.span_id = span
            if self._sample and self._left_out(line):
                return
            if error is not None:
                line.exception = exception_of(error)
            if extra:
                added = plain_fields(extra)
                if "user_id" in added and added["user_id"] is not None:
                    line.user_id = str(added.pop("user_id"))[:_LONGEST_NAME]
                line.extra = {**line.extra, **added} if line.extra else added
            self.put(line)
        except Exception:
            self.failed()

    def access(self, line: Line, context: Context) -> None:
        """Write the line of a request that has been answered. Never raises."""
        try:
            _with_context(line, context)
            if not (self._sample and self._left_out(line)):
                self.put(line)
        except Exception:
            self.failed()

    def put(self, line: Line) -> None:
        """Count and write."""
        prefix, numbers = self._ids
        line.event_id = f"{prefix}{next(numbers):012x}"
        key = (line.severity, line.log_class)
        counter = self._counters.get(key)
        if counter is None:
            level = next(name for least, name in _LEVELS if line.severity >= least)
            counter = RECORDS.on(self._store).labels(level, line.log_class)
            if len(self._counters) < 100:
                self._counters[key] = counter
        counter.inc()
        self.writer.put(line)

    def _left_out(self, line: Line) -> bool:
        share = self._sample.get(line.log_class)
        if share is None or line.severity >= logging.WARNING or line.log_class in KEPT:
            return False
        # By trace, so that a request's lines are kept or left out together.
        drawn = line.trace_id[:8] or os.urandom(4).hex()
        return int(drawn, 16) >= share * 0x1_0000_0000

    def _lost(self, log_class: str) -> None:
        self._dropped.labels(log_class).inc()


def _with_context(line: Line, context: Context) -> None:
    line.trace_id, line.span_id = context.ids()
    line.user_id = context.user_id
    if not line.endpoint:
        line.endpoint = context.endpoint
    if context.fields:
        line.extra = dict(context.fields)


def scrubber(chosen: bool | Callable[[Any], Any], store: Store) -> Scrub | None:
    """Return the function that takes private data out; None where there is none."""
    if not isinstance(chosen, bool):
        return chosen
    if not chosen:
        return None
    from exporter.instrument.pii import Scrubber, counting

    made = Scrubber(counted=counting(store))

    def scrub(value: Any) -> Any:
        return made.text(value) if isinstance(value, str) else made.value(value)

    return scrub
