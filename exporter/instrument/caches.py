"""Caches of the application: looked up, found or not."""

from exporter.catalog import Metric
from exporter.instrument._guard import guarded
from exporter.store import Store

LOOKUPS = Metric(
    "cache_requests_total",
    "counter",
    "Lookups in a cache of the application; the share of result=hit is its hit ratio.",
    ("cache", "result"),
)


class Cache:
    """Counts the lookups of one cache: call `hit()` or `miss()` after each."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        with guarded(store, "cache"):
            for result in ("hit", "miss"):  # both from the start, so that a ratio exists
                LOOKUPS.on(store).labels(name, result).inc(0)

    def hit(self) -> None:
        self._count("hit")

    def miss(self) -> None:
        self._count("miss")

    def _count(self, result: str) -> None:
        with guarded(self._store, "cache"):
            LOOKUPS.on(self._store).labels(self._name, result).inc()
