"""Live series: what `Metric.on(store)` hands out. Recording is an addition in a cell, nothing more.

`cells[i] += x` is a handful of bytecodes in which CPython's lock is not given up, so threads lose nothing
(tests/exporter/workers hammers it). An interpreter without that lock is not supported yet: two threads that
add to one cell at the same instant could lose one addition there.
"""

import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from exporter.catalog import Metric
from exporter.store import exemplars
from exporter.store.area import EXEMPLAR, NEWEST, Shape
from exporter.store.keys import series_key, writable

Cells = Any  # a memoryview of floats; its generic form is not subscriptable at run time
Allocate = Callable[[str, Shape], tuple[Cells, int]]

# More label sets than this in one metric is a mistake or an attack; the rest is counted as "other".
MAX_SERIES = 2000
OTHER = "other"
_EXEMPLAR = Shape(EXEMPLAR, exemplars.CELLS)


class Cell:
    """One series: where its cells are. The store moves it to new ones after a fork."""

    __slots__ = ("_at", "_cells", "_series")

    def __init__(self, series: "Series", cells: Cells, at: int) -> None:
        self._series = series
        self._cells = cells
        self._at = at

    def move(self, cells: Cells, at: int) -> None:
        """Go on in other cells."""
        self._cells = cells
        self._at = at

    @property
    def place(self) -> tuple[Cells, int]:
        """Where it adds, for who does so himself: see `Store.at_move`."""
        return self._cells, self._at

    def note(self, bucket: int, value: float, trace: bytes) -> None:
        """Keep a trace of 16 bytes as the newest exemplar of a bucket; a counter has one bucket."""
        self._series.exemplify(self, bucket, value, trace)

    def values(self, count: int) -> list[float]:
        """Return what so many cells hold."""
        return list(self._cells[self._at : self._at + count])

    def inc(self, amount: float = 1.0, trace_id: str = "") -> None:
        raise TypeError("only counters and gauges can inc()")

    def dec(self, amount: float = 1.0) -> None:
        raise TypeError("only gauges can dec()")

    def set(self, value: float) -> None:
        raise TypeError("only gauges can be set()")

    def observe(self, value: float, trace_id: str = "") -> None:
        raise TypeError("only histograms can observe()")


class Counter(Cell):
    """A number that only rises."""

    __slots__ = ()

    def inc(self, amount: float = 1.0, trace_id: str = "") -> None:
        if amount < 0:
            raise ValueError("a counter only rises")
        self._cells[self._at] += amount
        if trace_id:
            self._series.exemplify(self, 0, amount, exemplars.trace_of(trace_id))


class Gauge(Cell):
    """A number that rises and falls. OpenMetrics knows no exemplars of it, so its trace ids are left out."""

    __slots__ = ()

    def inc(self, amount: float = 1.0, trace_id: str = "") -> None:
        self._cells[self._at] += amount

    def dec(self, amount: float = 1.0) -> None:
        self._cells[self._at] -= amount

    def set(self, value: float) -> None:
        self._cells[self._at] = value


class NewestGauge(Cell):
    """A number of which the latest of all workers counts; its second cell says when it was set."""

    __slots__ = ()

    def set(self, value: float) -> None:
        self._cells[self._at] = value
        self._cells[self._at + 1] = time.time()


class Histogram(Cell):
    """A cell for the sum, one for each bucket, and one for what is beyond the last bound."""

    __slots__ = ()

    def observe(self, value: float, trace_id: str = "") -> None:
        cells, at = self._cells, self._at
        bucket = bisect_left(self._series.bounds, value)
        cells[at] += value
        cells[at + 1 + bucket] += 1.0
        if trace_id:
            self._series.exemplify(self, bucket, value, exemplars.trace_of(trace_id))


class Series:
    """The live form of one metric: hands out its series, at most `MAX_SERIES` of them."""

    def __init__(self, metric: Metric, allocate: Allocate) -> None:
        self.metric = metric
        self.bounds = metric.buckets
        self.children: dict[tuple[str, ...], Cell] = {}
        self._shape = Shape.of(metric.declaration())
        self._allocate = allocate
        self._lock = threading.Lock()
        self._exemplars: dict[tuple[Cell, int], Any] = {}  # by series and bucket: the bytes of the cells

    def labels(self, *values: str) -> Cell:
        child = self.children.get(values)
        return child if child is not None else self._new(values)

    def move(self, *, with_values: bool = False) -> None:
        """Give every series new cells: all 0, or with what the old ones hold."""
        self._lock = threading.Lock()  # the old one may be held by a thread that a fork left behind
        self._exemplars = {}
        count = self._shape.cells
        for values, child in list(self.children.items()):
            cells, at = self._allocate(self._key(values), self._shape)
            for index, value in enumerate(child.values(count) if with_values else ()):
                cells[at + index] = value
            child.move(cells, at)

    def exemplify(self, child: Cell, bucket: int, value: float, trace: bytes) -> None:
        """Keep a trace of 16 bytes as the newest exemplar of this bucket."""
        place = self._exemplars.get((child, bucket))
        if place is None:
            place = self._new_exemplar(child, bucket)
        place[:] = exemplars.packed(time.time(), value, trace)

    def _new_exemplar(self, child: Cell, bucket: int) -> Any:
        with self._lock:
            if (child, bucket) not in self._exemplars:
                values = next(values for values, other in self.children.items() if other is child)
                cells, at = self._allocate(exemplars.key_of(bucket, self._key(values)), _EXEMPLAR)
                self._exemplars[child, bucket] = cells[at : at + exemplars.CELLS].cast("B")
            return self._exemplars[child, bucket]

    def _key(self, values: tuple[str, ...]) -> str:
        return series_key(self.metric.name, self.metric.labels, values)

    def _new(self, values: tuple[str, ...]) -> Cell:
        if len(values) != len(self.metric.labels):
            raise ValueError(
                f"{self.metric.name} has the labels {list(self.metric.labels)}, got {list(values)}"
            )
        values = tuple([writable(value) for value in values])
        with self._lock:
            if len(self.children) >= MAX_SERIES and values not in self.children:
                values = (OTHER,) * len(values)
            if values not in self.children:
                # Interned, because the same few words stand in the labels of many series.
                values = tuple([sys.intern(value) for value in values])
                self.children[values] = self._make(*self._allocate(self._key(values), self._shape))
            return self.children[values]

    def _make(self, cells: Cells, at: int) -> Cell:
        if self.metric.kind == "histogram":
            return Histogram(self, cells, at)
        if self.metric.kind == "counter":
            return Counter(self, cells, at)
        return NewestGauge(self, cells, at) if self._shape.kind == NEWEST else Gauge(self, cells, at)

    def inc(self, amount: float = 1.0, trace_id: str = "") -> None:
        self.labels().inc(amount, trace_id)

    def dec(self, amount: float = 1.0) -> None:
        self.labels().dec(amount)

    def set(self, value: float) -> None:
        self.labels().set(value)

    def observe(self, value: float, trace_id: str = "") -> None:
        self.labels().observe(value, trace_id)
