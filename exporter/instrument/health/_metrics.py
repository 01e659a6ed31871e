"""What the health checks publish."""

from exporter.catalog import Metric

UP = Metric(
    "health_component_up",
    "gauge",
    "1 while a component works, also where it is degraded; with several workers: for at least one of them.",
    ("component",),
    merge="max",
)
DEGRADED = Metric(
    "health_component_degraded",
    "gauge",
    "1 while a component is not wholly healthy; with several workers: for at least one of them.",
    ("component",),
    merge="max",
)
LATENCY = Metric(
    "health_component_latency_seconds",
    "gauge",
    "Time that the last check of a component took; with several workers the longest.",
    ("component",),
    merge="max",
)
LAST_CHECK = Metric(
    "health_component_last_check_timestamp_seconds",
    "gauge",
    "When a component was last checked, as Unix time.",
    ("component",),
    merge="max",
)
LAG = Metric(
    "health_event_loop_lag_seconds",
    "gauge",
    "Longest time in 15 seconds that a ready task waited for its event loop; the worst worker.",
    merge="max",
)
DEPENDENCY_UP = Metric(
    "dependency_up",
    "gauge",
    "1 while a server or service that the application needs works; 0 when no worker can use it.",
    ("dependency",),
    merge="max",
)
