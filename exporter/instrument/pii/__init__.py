"""Private text taken out of logs, errors and traces, before they leave the process."""

from collections.abc import Callable

from exporter.catalog import Metric, Records
from exporter.instrument.pii.keys import DEFAULT_KEYS
from exporter.instrument.pii.rules import Rule
from exporter.instrument.pii.scrubber import DEFAULT_RULES, Scrubber

REDACTIONS = Metric(
    "pii_redactions_total",
    "counter",
    "Private pieces that were taken out of logs and error reports, by what they were; `key` is by its name.",
    ("kind",),
)


def counting(store: Records) -> Callable[[str, int], None]:
    """Return a function for `Scrubber(counted=…)` that counts into this store."""
    redactions = REDACTIONS.on(store)
    return lambda kind, number: redactions.labels(kind).inc(number)


__all__ = ["DEFAULT_KEYS", "DEFAULT_RULES", "REDACTIONS", "Rule", "Scrubber", "counting"]
