"""Lines of loguru: a sink that takes its record and leaves its text."""

from collections.abc import Callable
from typing import Any

from exporter.instrument.logs.pipeline import Pipeline


def sink(pipeline: Pipeline) -> Callable[[Any], None]:
    """Return a sink for `logger.add`."""

    def write(message: Any) -> None:
        try:
            record = message.record
            added = dict(record["extra"])
            pipeline.submit(
                record["time"].timestamp(),
                record["level"].name,
                record["level"].no,
                record["name"] or "loguru",
                record["message"],
                log_class=added.pop("log_class", None),
                # Not loguru's own text of it, which may hold the values of variables.
                error=record["exception"] and record["exception"].value,
                extra=added,
            )
        except Exception:
            pipeline.failed()

    return write


def configure(pipeline: Pipeline) -> None:
    """Set loguru up to write through the pipeline alone."""
    from loguru import logger

    # The shortest text, for nobody reads it; and no exception in it, which costs most.
    logger.configure(
        handlers=[{"sink": sink(pipeline), "level": pipeline.level, "format": lambda _: "{level}"}]
    )
