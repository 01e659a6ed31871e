"""Where the numbers of an application live, right under one worker or many, without configuration.

What holds, and why:

- A worker writes its own file and no other; a cell is 8 aligned bytes, so a reader sees the old or the new
  number, never half of one. A histogram read in between may lack one observation in one of its cells.
- An exemplar is the one thing of more than a cell; a checksum tells whether it is whole (see `exemplars`).
- An entry is visible once the file's count of used bytes covers it, which is written last: a worker killed
  at any instant leaves whole entries only.
- A worker holds the lock of its file while it lives; the kernel drops it with the process, whatever ended
  it. A file without a lock is a dead worker's, and the next scrape folds it away (see `files.Files`).
- Counts, and the newest values, outlive their worker; gauges of the living are added up, so what a dead
  worker had in progress is gone with it.
- Whatever goes wrong with files (none possible, full, removed) leaves this worker with cells in its own
  memory: its numbers are right, those of the others are missing, and `watchkeeper_store_degraded` says so.
"""

import itertools
import json
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from prometheus_client import metrics_core
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from exporter.catalog import Metric, Sample
from exporter.store import families, family, process, readers, text
from exporter.store.area import DECLARATION, Shape
from exporter.store.live import OTHER, Cells, Series
from exporter.store.merge import Numbers
from exporter.store.place import Place
from exporter.store.readers import Held, Read

DEGRADED = Metric(
    "watchkeeper_store_degraded",
    "gauge",
    "1 while this page shows one worker's own numbers only, because no file could be shared.",
    merge="max",
)
WORKERS = Metric("watchkeeper_workers", "gauge", "Worker processes of the application that count together.")

T = TypeVar("T")

# A store hangs on its registry, and goes with it.
_ATTRIBUTE = "_watchkeeper_store"
_lock = threading.Lock()
_all: "weakref.WeakSet[Store]" = weakref.WeakSet()
_numbers = itertools.count()
_log = logging.getLogger("watchkeeper")


class Store(Collector):
    """Live metrics of one application, visible in a prometheus_client registry. One store a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._series: dict[str, Series] = {}
        self._shared: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._ticking = threading.RLock()
        self._silent = threading.local()
        # Workers make their stores in the same order, so the number says which ones belong together.
        self._name = f"store{next(_numbers)}"
        self._place = Place(self._name)
        self._readers, self._movers, self._forkers = Held(), Held(), Held()
        self.at_scrape(self._read_self)
        # The default registry tells of the process; elsewhere nobody has asked for it.
        self._process: process.Watch | None = None
        if registry is REGISTRY and Path("/proc/self/stat").exists():
            self._process = process.Watch(self)
            self.at_scrape(self._process.read)
        registry.register(self)
        _all.add(self)

    @classmethod
    def of(cls, registry: CollectorRegistry | None = None) -> "Store":
        """Return the store of a registry, always the same; by default of prometheus_client's own."""
        registry = REGISTRY if registry is None else registry
        with _lock:
            store: Store | None = getattr(registry, _ATTRIBUTE, None)
            if store is None:
                store = cls(registry)
                setattr(registry, _ATTRIBUTE, store)
            return store

    def live(self, metric: Metric) -> Series:
        """Return the live form of `metric`. Raises ValueError when another metric has its name."""
        series = self._series.get(metric.name)
        if series is None:
            series = self._new(metric)
        if series.metric is not metric and series.metric != metric:
            raise ValueError(f"metric {metric.name!r} is declared twice, in different words")
        return series

    def at_scrape(self, read: Read) -> Callable[[], None]:
        """Set gauges from what `read` yields, at each scrape and tick; return what stops that.

        What several readers say of one series is merged as its metric tells. A method is held weakly: it
        goes with its object.
        """
        remove = self._readers.add(read)

        def stop() -> None:
            if remove():
                for sample in readers.read(read):
                    self.live(sample.metric).labels(*sample.labels).set(0)

        return stop

    def at_move(self, forget: Callable[[], object]) -> None:
        """Call this when series have got other cells, for who keeps cells himself. Methods: held weakly."""
        self._movers.add(forget)

    def at_fork(self, forget: Callable[[], object]) -> None:
        """Call this in a forked child: what is under way is its parent's. Methods are held weakly."""
        self._forkers.add(forget)

    def share(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` made the first time: one for all who use this store."""
        with self._lock:
            if name not in self._shared:
                self._shared[name] = make()
            return cast(T, self._shared[name])

    def tick(self) -> None:
        """Publish what readers see, for the other workers to find; call it about twice a second."""
        if not self._place.is_ours:
            self._move_out()
        with self._ticking:
            samples = [sample for read in self._readers for sample in readers.read(read)]
            for (metric, labels), value in readers.together(samples).items():
                self.live(metric).labels(*labels).set(value)

    def numbers(self) -> Numbers:
        """Return what the whole family of workers says now."""
        self.tick()
        try:
            return self._read()
        except OSError:
            _log.warning("the workers' folder is gone; this worker goes on alone", exc_info=True)
            self._place.be_alone()
            self.tick()  # so that this very page says so
            return self._read()

    def _read(self) -> Numbers:
        with self._lock:
            return self._place.read()

    def _read_self(self) -> Iterator[Sample]:
        yield DEGRADED.sample(int(self._place.degraded))
        yield WORKERS.sample(1)

    def describe(self) -> Iterable[metrics_core.Metric]:
        """Nothing: names are checked when a metric goes live."""
        return ()

    def collect(self) -> Iterator[metrics_core.Metric]:
        """Yield all metrics as prometheus_client's families, for its tools and for tests."""
        if not getattr(self._silent, "on", False):
            yield from families.families_of(self.numbers())

    def page(self, *, openmetrics: bool = False) -> bytes:
        """Return everything in the registry as Prometheus reads it."""
        return b"".join([text.encoded(piece) for piece in self.pages(openmetrics=openmetrics)])

    def pages(self, *, openmetrics: bool = False) -> Iterator[str]:
        """Yield the page in short pieces, so that an event loop gets its turn in between."""
        self._silent.on = True
        try:
            others = list(self._registry.collect())
        finally:
            self._silent.on = False
        others = [each for each in others if not self._is_ours(each.name)]
        # A name that the application has taken for itself stays its own.
        taken = {sample.name for each in others for sample in each.samples}
        yield from text.pages(self.numbers(), openmetrics=openmetrics, without=taken)
        yield text.rendered(others, openmetrics=openmetrics)

    def _is_ours(self, name: str) -> bool:
        """Whether prometheus_client tells of this one process what concerns all workers."""
        if self._process is None:
            return False
        return name.startswith("process_") or (self._place.workers > 1 and name.startswith("python_gc_"))

    def after_fork(self) -> None:
        """Go on as another worker: with files and locks of its own, and nothing counted yet."""
        self._lock, self._ticking = threading.RLock(), threading.RLock()
        self._place.leave()
        for forget in self._forkers:
            forget()
        self._settle(with_values=False)

    def _move_out(self) -> None:
        """Go on in a folder of another user, who this process is by now, with all that it has counted."""
        with self._lock:
            if not self._place.is_ours:
                left = self._place
                self._settle(with_values=True)
                left.leave()

    def _settle(self, *, with_values: bool) -> None:
        left, self._place = self._place, Place(self._name)
        if left.opened:
            for series in list(self._series.values()):
                self._declare(series.metric)
                series.move(with_values=with_values)
            self._begin()
        for forget in self._movers:
            forget()

    def _new(self, metric: Metric) -> Series:
        with self._lock:
            if metric.name not in self._series:
                theirs = getattr(self._registry, "_names_to_collectors", {})
                if metric.name in theirs and not metric.name.startswith("process_"):
                    _log.warning(
                        "the application has a metric %s of its own: ours is left out; give yours another "
                        "name, or instrument() a registry of its own",
                        metric.name,
                    )
                first = not self._place.opened
                self._declare(metric)
                self._series[metric.name] = Series(metric, self._allocate)
                if first:
                    self._begin()
            return self._series[metric.name]

    def _begin(self) -> None:
        # A worker counts before it has answered anything. The first of a family may be no worker at all, but
        # one that only starts them; if it is one, it ticks.
        if family.root().pid != os.getpid():
            WORKERS.on(self).set(1)

    def _declare(self, metric: Metric) -> None:
        self._allocate(json.dumps(metric.declaration()), Shape(DECLARATION, 0))

    def _allocate(self, key: str, shape: Shape) -> tuple[Cells, int]:
        with self._lock:
            return self._place.allocate(key, shape)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for store in list(_all):
        store.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)

__all__ = ["DEGRADED", "OTHER", "WORKERS", "Store"]
