"""Series that Prometheus and the client libraries make themselves, as far as boards use them."""

from exporter.catalog import Metric

UP = Metric("up", "gauge", "Whether the last scrape of the target worked: 1 yes, 0 no.", origin="prometheus")
ALERTS = Metric(
    "ALERTS",
    "gauge",
    "Alerts that are pending or firing now.",
    ("alertname", "alertstate", "priority", "severity", "family", "team"),
    origin="prometheus",
)
PROCESS_START = Metric(
    "process_start_time_seconds", "gauge", "When the process started, as Unix time.", origin="client library"
)
PROCESS_CPU = Metric(
    "process_cpu_seconds_total", "counter", "CPU time that the process has used.", origin="client library"
)
PROCESS_MEMORY = Metric(
    "process_resident_memory_bytes", "gauge", "Memory that the process holds.", origin="client library"
)
PROCESS_OPEN_FILES = Metric(
    "process_open_fds", "gauge", "File descriptors that the process has open.", origin="client library"
)
PROCESS_MAX_FILES = Metric(
    "process_max_fds",
    "gauge",
    "File descriptors that the process may have open.",
    origin="client library",
)
