"""The standard library's way in: a handler for the root logger."""

import logging
from typing import Any

from exporter.instrument.logs.pipeline import Pipeline

# What every record has; anything else was added by `extra`. taskName came with Python 3.12.
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
}
# Not told: uvicorn adds its message once more, with colours.
_ASIDE = _STANDARD | {"color_message", "log_class"}
_USUAL = len(vars(logging.LogRecord("", 0, "", 0, "", (), None)))


class Handler(logging.Handler):
    """Hands records over; what fails in here is counted and never reaches the application."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the lock that a handler usually takes: nothing here needs it.
        if self.filters:
            found = self.filter(record)
            if isinstance(found, logging.LogRecord):
                record = found
            elif not found:
                return False
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = record.__dict__
            extra: dict[str, Any] | None = None
            if len(fields) > _USUAL:
                extra = {name: value for name, value in fields.items() if name not in _ASIDE}
            if record.stack_info:
                extra = {**(extra or {}), "stack": record.stack_info}
            self._pipeline.submit(
                record.created,
                record.levelname,
                record.levelno,
                record.name,
                self._message(record),
                log_class=fields.get("log_class"),
                error=record.exc_info,
                extra=extra,
            )
        except Exception:
            self._pipeline.failed()

    def flush(self) -> None:
        self._pipeline.writer.flush()

    def _message(self, record: logging.LogRecord) -> str:
        if not record.args:
            return record.msg if type(record.msg) is str else str(record.msg)
        try:
            return record.getMessage()
        except Exception:  # arguments that do not fit the message: it is still worth reading
            self._pipeline.failed()
            return f"{record.msg} [its arguments do not fit]"
