"""Lines of structlog: its last processor hands the event over instead of rendering it."""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from exporter.instrument.logs.pipeline import Pipeline

_NUMBERS = {"critical": 50, "fatal": 50, "error": 40, "exception": 40, "warning": 30, "warn": 30, "debug": 10}
# What other processors may have put there, and a line has anyway.
_ASIDE = {
    "event",
    "level",
    "logger",
    "timestamp",
    "exc_info",
    "log_class",
    "level_number",
    "trace_id",
    "span_id",
}


def processor(pipeline: Pipeline) -> Callable[..., Any]:
    """Return a processor that ends the chain."""

    def hand_over(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        try:
            severity = _NUMBERS.get(method, logging.INFO)
            error = event.get("exc_info")
            if error is True or (error is None and method == "exception"):
                error = sys.exc_info()
            pipeline.submit(
                time.time(),
                logging.getLevelName(severity),
                severity,
                str(event.get("logger", "structlog")),
                str(event.get("event", "")),
                log_class=event.get("log_class"),
                error=error or None,
                extra={name: value for name, value in event.items() if name not in _ASIDE},
            )
        except Exception:
            pipeline.failed()
        raise structlog.DropEvent

    return hand_over


def configure(pipeline: Pipeline) -> None:
    """Set structlog up to write through the pipeline, from the pipeline's level on."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, processor(pipeline)],
        wrapper_class=structlog.make_filtering_bound_logger(pipeline.level),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
