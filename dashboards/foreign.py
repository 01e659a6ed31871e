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

__all__ = [
    "ALERTS",
    "PROCESS_CPU",
    "PROCESS_MAX_FILES",
    "PROCESS_MEMORY",
    "PROCESS_OPEN_FILES",
    "PROCESS_START",
    "UP",
]
