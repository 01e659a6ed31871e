"""Where the numbers of an application live, right under one worker or many, without configuration.

What holds, and why:

- A worker writes its own file and no other; a cell is 8 aligned bytes, so a reader sees the old or the new
  number, never half of one. A histogram read in between may lack one observation in one of its cells.
- An entry is visible once the file's count of used bytes covers it, which is written last: a worker killed
  at any instant leaves whole entries only.
- A worker holds the lock of its file while it lives; the kernel drops it with the process, whatever ended
  it. A file without a lock is a dead worker's, and the next scrape folds it away (see `merge.Family`).
- Counts, and the newest values, outlive their worker; gauges of the living are added up, so what a dead
  worker had in progress is gone with it.
- Whatever goes wrong with files (none possible, full, removed) leaves this worker with cells in its own
  memory: its numbers are right, those of the others are missing, and `watchkeeper_store_degraded` says so.
"""

import inspect
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

from exporter.catalog import Live, Metric, Sample
from exporter.store import family, process, text
from exporter.store.area import DECLARATION, Area, Reader, Shape
from exporter.store.live import OTHER, Cells, Series
from exporter.store.merge import Family, Numbers, Slots, View

DEGRADED = Metric(
    "watchkeeper_store_degraded",
    "gauge",
    "1 while this page shows one worker's own numbers only, because no file could be shared.",
    merge="max",
)
WORKERS = Metric("watchkeeper_workers", "gauge", "Worker processes of the application that count together.")

T = TypeVar("T")
Read = Callable[[], Iterable[Sample]]

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
        self._readers: list[Callable[[], Callable[[], Iterable[Sample]] | None]] = []
        self._shared: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._silent = threading.local()
        # Workers make their stores in the same order, so the number says which ones belong together.
        self._name = f"store{next(_numbers)}"
        self._areas: list[Area] = []
        self._views: list[View] = []
        self._slots = Slots()
        self._family: Family | None = None
        self._path = Path()
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

    def live(self, metric: Metric) -> Live:
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
        held = weakref.WeakMethod(read) if inspect.ismethod(read) else lambda: read
        self._readers.append(held)

        def stop() -> None:
            if held in self._readers:
                self._readers.remove(held)
                for sample in _read(read):
                    self.live(sample.metric).labels(*sample.labels).set(0)

        return stop

    def share(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` made the first time: one for all who use this store."""
        with self._lock:
            if name not in self._shared:
                self._shared[name] = make()
            return cast(T, self._shared[name])

    def tick(self) -> None:
        """Publish what readers see, for the other workers to find; call it about twice a second."""
        found: dict[tuple[Metric, tuple[str, ...]], float] = {}
        for held in list(self._readers):
            read = held()
            if read is None:
                self._readers.remove(held)
                continue
            for metric, labels, value in _read(read):
                before = found.get((metric, labels))
                if before is not None:
                    value = before + value if metric.merge == "sum" else max(before, value)
                found[metric, labels] = value
        for (metric, labels), value in found.items():
            self.live(metric).labels(*labels).set(value)

    def numbers(self) -> Numbers:
        """Return what the whole family of workers says now."""
        self.tick()
        with self._lock:
            if self._family is not None:
                try:
                    return self._family.read(self._path, self._views)
                except OSError:
                    _log.warning("the workers' folder is gone; this worker goes on alone", exc_info=True)
                    self._family = None
                    self.tick()  # so that this very page says so
            return Numbers(self._slots, self._views)

    def _read_self(self) -> Iterator[Sample]:
        alone = bool(self._areas) and (self._family is None or len(self._areas) > 1)
        yield DEGRADED.sample(int(alone))
        yield WORKERS.sample(1)

    def describe(self) -> Iterable[metrics_core.Metric]:
        """Nothing: names are checked when a metric goes live."""
        return ()

    def collect(self) -> Iterator[metrics_core.Metric]:
        """Yield all metrics as prometheus_client's families, for its tools and for tests."""
        if not getattr(self._silent, "on", False):
            yield from text.families_of(self.numbers())

    def page(self, *, openmetrics: bool = False) -> bytes:
        """Return everything in the registry as Prometheus reads it."""
        return b"".join([piece.encode() for piece in self.pages(openmetrics=openmetrics)])

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
        several = self._family is not None and self._family.workers > 1
        return name.startswith("process_") or (several and name.startswith("python_gc_"))

    def after_fork(self) -> None:
        """Go on as another worker: with files and locks of its own, and nothing counted yet."""
        self._lock = threading.RLock()
        for area in self._areas:
            area.close()
        if self._family is not None:
            self._family.close()
        opened = bool(self._areas)
        self._areas, self._views, self._slots, self._family = [], [], Slots(), None
        if opened:
            for series in self._series.values():
                self._declare(series.metric)
                series.move()

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
                self._declare(metric)
                self._series[metric.name] = Series(metric, self._allocate)
            return self._series[metric.name]

    def _declare(self, metric: Metric) -> None:
        self._allocate(json.dumps(metric.declaration()), Shape(DECLARATION, 0))

    def _allocate(self, key: str, shape: Shape) -> tuple[Cells, int]:
        with self._lock:
            if not self._areas:
                self._open()
            try:
                return self._areas[-1].cells, self._areas[-1].add(key, shape.kind, shape.cells)
            except OSError:
                # No room for the others to see it; our own page still shall have it.
                self._alone("no room for the workers' files")
                return self._areas[-1].cells, self._areas[-1].add(key, shape.kind, shape.cells)

    def _open(self) -> None:
        try:
            folder = family.folder()
            self._family = Family(folder, self._name, self._slots)
            self._path = self._family.new_file()
            self._take(Area.in_file(self._path))
            weakref.finalize(self, _discard, self._areas[-1], self._path, os.getpid()).atexit = False
        except OSError:
            self._family = None
            self._alone("no place for the workers' files")

    def _alone(self, why: str) -> None:
        _log.warning("%s: this page shows one worker's own numbers", why)
        self._take(Area.in_memory())

    def _take(self, area: Area) -> None:
        self._areas.append(area)
        self._views.append(View(Reader(area.whole())))


def _read(read: Read) -> list[Sample]:
    try:
        return list(read())
    except Exception:  # a scrape must not fail for one pool that is closing
        _log.debug("a reader at scrape time failed", exc_info=True)
        return []


def _discard(area: Area, path: Path, pid: int) -> None:
    """Remove the file of a store that nobody holds any more; in a forked child it is the parent's."""
    if os.getpid() == pid:
        path.unlink(missing_ok=True)
    area.close()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for store in list(_all):
        store.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)

__all__ = ["DEGRADED", "OTHER", "WORKERS", "Store"]
