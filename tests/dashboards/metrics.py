"""Metrics of the tests' own, one of each kind, so that boards can change without changing these tests."""

from exporter.catalog import Metric

REQUESTS = Metric("shop_requests_total", "counter", "Requests to the shop.", ("route", "status"))
WAITING = Metric(
    "shop_waiting_seconds", "histogram", "Time that customers wait.", ("route",), buckets=(0.5, 1, 2)
)
OPEN = Metric("shop_open_baskets", "gauge", "Baskets that are open now.", ("route",))
FULL = Metric("shop_shelf_ratio", "gauge", "Share of the shelf that is full.")
STARTED = Metric("shop_start_timestamp_seconds", "gauge", "When the shop opened, as Unix time.")
TRAFFIC = Metric("shop_traffic_bytes_total", "counter", "Bytes moved.")
TASKS = Metric("shop_tasks_total", "counter", "Tasks that the shop ran.", ("job",))
BORROWED = Metric("pg_shop_commits", "counter", "Commits, without _total.", ("datname",), origin="elsewhere")
