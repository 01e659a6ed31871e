"""Where the numbers of an application live: the store that `Metric.on()` records into."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator

import prometheus_client
from prometheus_client import metrics_core
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from exporter.catalog import Child, Live, Metric, Sample
from exporter.store.text import families, page

# More label sets than this in one metric is a mistake or an attack; the rest is counted as "other".
MAX_SERIES = 2000
OTHER = "other"

_KINDS = {
    "counter": prometheus_client.Counter,
    "gauge": prometheus_client.Gauge,
    "histogram": prometheus_client.Histogram,
}
# A store hangs on its registry, and goes with it.
_ATTRIBUTE = "_watchkeeper_store"
_lock = threading.Lock()
_log = logging.getLogger("watchkeeper")


class Series:
    """The live form of one metric: hands out its series, at most `MAX_SERIES` of them."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        options = {"buckets": metric.buckets} if metric.buckets else {}
        self._parent = _KINDS[metric.kind](
            metric.name, metric.help, metric.labels, registry=registry, **options
        )
        self._width = len(metric.labels)
        self._children: dict[tuple[str, ...], Child] = {}

    def labels(self, *values: str) -> Child:
        child = self._children.get(values)
        return child if child is not None else self._new(values)

    def _new(self, values: tuple[str, ...]) -> Child:
        if len(values) != self._width:
            raise ValueError(f"expected {self._width} label values, got {len(values)}")
        if len(self._children) >= MAX_SERIES:
            values = (OTHER,) * self._width
        child: Child = self._parent.labels(*values) if self._width else self._parent
        return self._children.setdefault(values, child)

    def inc(self, amount: float = 1) -> None:
        self.labels().inc(amount)

    def dec(self, amount: float = 1) -> None:
        self.labels().dec(amount)

    def set(self, value: float) -> None:
        self.labels().set(value)

    def observe(self, value: float) -> None:
        self.labels().observe(value)


class Store(Collector):
    """Live metrics of one process, visible in a prometheus_client registry. One store a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._live: dict[str, tuple[Metric, Series]] = {}
        self._readers: list[Callable[[], Iterable[Sample]]] = []
        registry.register(self)

    @classmethod
    def of(cls, registry: CollectorRegistry | None = None) -> "Store":
        """Return the store of a registry, always the same one; by default of prometheus_client's own."""
        registry = REGISTRY if registry is None else registry
        with _lock:
            store: Store | None = getattr(registry, _ATTRIBUTE, None)
            if store is None:
                store = cls(registry)
                setattr(registry, _ATTRIBUTE, store)
            return store

    def live(self, metric: Metric) -> Live:
        """Return the live form of `metric`. Raises ValueError when another metric has its name."""
        with _lock:
            if metric.name not in self._live:
                self._live[metric.name] = (metric, Series(metric, self._registry))
            known, series = self._live[metric.name]
        if known != metric:
            raise ValueError(f"metric {metric.name!r} is declared twice, in different words")
        return series

    def at_scrape(self, read: Callable[[], Iterable[Sample]]) -> Callable[[], None]:
        """Call `read` for its samples at every scrape; return the function that stops that."""
        self._readers.append(read)
        return lambda: self._readers.remove(read) if read in self._readers else None

    def describe(self) -> Iterable[metrics_core.Metric]:
        """Nothing: what `at_scrape` yields is known only then."""
        return ()

    def collect(self) -> Iterator[metrics_core.Metric]:
        """Yield the families of all `at_scrape` readers; a reader that raises loses only its own part."""
        samples: list[Sample] = []
        for read in list(self._readers):
            try:
                samples.extend(list(read()))
            except Exception:  # a scrape must not fail for one pool that is closing
                _log.debug("a reader at scrape time failed", exc_info=True)
        yield from families(samples)

    def page(self) -> bytes:
        """Return everything in the registry as Prometheus text."""
        return page(self._registry.collect())
