"""Series that Prometheus and the client libraries make themselves, as far as boards use them."""

from exporter.catalog import Metric
from exporter.store.process import CPU as PROCESS_CPU
from exporter.store.process import MAX_FILES as PROCESS_MAX_FILES
from exporter.store.process import OPEN_FILES as PROCESS_OPEN_FILES
from exporter.store.process import RESIDENT as PROCESS_MEMORY
from exporter.store.process import START as PROCESS_START

UP = Metric("up", "gauge", "Whether the last scrape of the target worked: 1 yes, 0 no.", origin="prometheus")
ALERTS = Metric(
    "ALERTS",
    "gauge",
    "Alerts that are pending or firing now.",
    ("alertname", "alertstate", "priority", "severity", "family", "team"),
    origin="prometheus",
)

SCRAPE_DURATION = Metric(
    "scrape_duration_seconds", "gauge", "Time that the last scrape of the target took.", origin="prometheus"
)
SCRAPE_SAMPLES = Metric(
    "scrape_samples_scraped", "gauge", "Samples on the target's page.", origin="prometheus"
)
SERIES_ADDED = Metric(
    "scrape_series_added", "gauge", "Series that the last scrape was the first to bring.", origin="prometheus"
)
HEAD_SERIES = Metric(
    "prometheus_tsdb_head_series", "gauge", "Series that Prometheus holds in memory.", origin="prometheus"
)
SAMPLES = Metric(
    "prometheus_tsdb_head_samples_appended_total",
    "counter",
    "Samples that Prometheus has stored.",
    ("type",),
    origin="prometheus",
)
STORED = Metric(
    "prometheus_tsdb_storage_blocks_bytes",
    "gauge",
    "Space of Prometheus's finished blocks on disk.",
    origin="prometheus",
)
RELOADED = Metric(
    "prometheus_config_last_reload_successful",
    "gauge",
    "Whether Prometheus could read its settings the last time: 1 or 0.",
    origin="prometheus",
)
RULES_DURATION = Metric(
    "prometheus_rule_group_last_duration_seconds",
    "gauge",
    "Time that the last evaluation of a group of rules took.",
    ("rule_group",),
    origin="prometheus",
)
RULES_INTERVAL = Metric(
    "prometheus_rule_group_interval_seconds",
    "gauge",
    "Time between two evaluations of a group of rules.",
    ("rule_group",),
    origin="prometheus",
)
RULES_FAILED = Metric(
    "prometheus_rule_evaluation_failures_total",
    "counter",
    "Rules that could not be evaluated.",
    ("rule_group",),
    origin="prometheus",
)
RULES_MISSED = Metric(
    "prometheus_rule_group_iterations_missed_total",
    "counter",
    "Evaluations left out because the one before was not done.",
    ("rule_group",),
    origin="prometheus",
)
ALERTS_SENT = Metric(
    "prometheus_notifications_sent_total",
    "counter",
    "Alerts that Prometheus has passed to Alertmanager.",
    ("alertmanager",),
    origin="prometheus",
)
ALERTS_REFUSED = Metric(
    "prometheus_notifications_errors_total",
    "counter",
    "Alerts that Prometheus could not pass to Alertmanager.",
    ("alertmanager",),
    origin="prometheus",
)
ALERTS_DROPPED = Metric(
    "prometheus_notifications_dropped_total",
    "counter",
    "Alerts that Prometheus gave up because no Alertmanager took them.",
    origin="prometheus",
)
NOTIFIED = Metric(
    "alertmanager_notifications_total",
    "counter",
    "Messages that Alertmanager tried to send.",
    ("integration",),
    origin="alertmanager",
)
NOT_NOTIFIED = Metric(
    "alertmanager_notifications_failed_total",
    "counter",
    "Messages that Alertmanager could not send.",
    ("integration", "reason"),
    origin="alertmanager",
)
HELD_ALERTS = Metric(
    "alertmanager_alerts",
    "gauge",
    "Alerts that Alertmanager holds, by state.",
    ("state",),
    origin="alertmanager",
)
AM_RELOADED = Metric(
    "alertmanager_config_last_reload_successful",
    "gauge",
    "Whether Alertmanager could read its settings the last time: 1 or 0.",
    origin="alertmanager",
)

__all__ = [
    "ALERTS",
    "ALERTS_DROPPED",
    "ALERTS_REFUSED",
    "ALERTS_SENT",
    "AM_RELOADED",
    "HEAD_SERIES",
    "HELD_ALERTS",
    "NOTIFIED",
    "NOT_NOTIFIED",
    "PROCESS_CPU",
    "PROCESS_MAX_FILES",
    "PROCESS_MEMORY",
    "PROCESS_OPEN_FILES",
    "PROCESS_START",
    "RELOADED",
    "RULES_DURATION",
    "RULES_FAILED",
    "RULES_INTERVAL",
    "RULES_MISSED",
    "SAMPLES",
    "SCRAPE_DURATION",
    "SCRAPE_SAMPLES",
    "SERIES_ADDED",
    "STORED",
    "UP",
]
