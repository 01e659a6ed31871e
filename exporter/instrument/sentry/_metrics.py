"""Sentry: what was delivered, what was held back, what was filtered."""

from exporter.catalog import Metric

ENVELOPES = Metric(
    "sentry_envelopes_total",
    "counter",
    "Envelopes for Sentry: sent, or lost as rate_limited, refused, unreachable or queue_full.",
    ("outcome",),
)
LAST_DELIVERY = Metric(
    "sentry_last_delivery_timestamp_seconds",
    "gauge",
    "When Sentry last accepted an envelope, as Unix time; 0 while it never has.",
    merge="max",
)
WITHHELD = Metric(
    "sentry_items_withheld_total",
    "counter",
    "Parts of envelopes that did not leave the process, because they could not be scrubbed, by kind.",
    ("kind",),
)
FILTERED = Metric(
    "sentry_events_filtered_total",
    "counter",
    "Errors that were not reported, on purpose: not_found, timeout, client_gone, health_check.",
    ("reason",),
)

OUTCOMES = ("sent", "rate_limited", "refused", "unreachable", "queue_full")
