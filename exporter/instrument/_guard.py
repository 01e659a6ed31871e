"""The fence between our code and the application: what fails on our side is counted, never raised."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.catalog import Metric, Records

FAILURES = Metric(
    "watchkeeper_instrumentation_errors_total",
    "counter",
    "Failures inside the instrumentation itself; the application did not notice them.",
    ("part",),
)

_log = logging.getLogger("watchkeeper")


@contextmanager
def guarded(store: Records, part: str) -> Iterator[None]:
    """Swallow, count and log (at debug, for it may repeat with every request) whatever fails inside."""
    try:
        yield
    except Exception:
        failed(store, part)


def failed(store: Records, part: str) -> None:
    """Count and log the exception that is being handled."""
    FAILURES.on(store).labels(part).inc()
    _log.debug("instrumentation of %s failed", part, exc_info=True)
