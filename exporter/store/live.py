"""Live series: what `Metric.on(store)` hands out. Recording is an addition in a cell, nothing more.

`cells[i] += x` is a handful of bytecodes in which CPython's lock is not given up, so threads lose nothing
(tests/exporter/store hammers it). Where there is no such lock, a free-threaded build, each metric's
series share a lock of their own.
"""

import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from exporter.catalog import Child, Metric
from exporter.store.area import NEWEST, Shape, series_key

Cells = Any  # a memoryview of floats; its generic form is not subscriptable at run time

# More label sets than this in one metric is a mistake or an attack; the rest is counted as "other".
MAX_SERIES = 2000
OTHER = "other"


class Cell:
    """One series: where its cells are. The store moves it to new ones after a fork."""

    __slots__ = ("_at", "_cells")

    def __init__(self, cells: Cells, at: int) -> None:
        self._cells = cells
        self._at = at

    def move(self, cells: Cells, at: int) -> None:
        """Go on in other cells."""
        self._cells = cells
        self._at = at

    def inc(self, amount: float = 1.0) -> None:
        raise TypeError("only counters and gauges can inc()")

    def dec(self, amount: float = 1.0) -> None:
        raise TypeError("only gauges can dec()")

    def set(self, value: float) -> None:
        raise TypeError("only gauges can be set()")

    def observe(self, value: float) -> None:
        raise TypeError("only histograms can observe()")


class Counter(Cell):
    """A number that only rises."""

    __slots__ = ()

    def inc(self, amount: float = 1.0) -> None:
        if amount < 0:
            raise ValueError("a counter only rises")
        self._cells[self._at] += amount


class Gauge(Cell):
    """A number that rises and falls."""

    __slots__ = ()

    def inc(self, amount: float = 1.0) -> None:
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
    """A cell for each bucket, one for what is beyond the last bound, and one for the sum."""

    __slots__ = ("_bounds", "_sum")

    def __init__(self, cells: Cells, at: int, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.move(cells, at)

    def move(self, cells: Cells, at: int) -> None:
        """Go on in other cells."""
        self._cells = cells
        self._at = at
        self._sum = at + len(self._bounds) + 1

    def observe(self, value: float) -> None:
        cells = self._cells
        cells[self._at + bisect_left(self._bounds, value)] += 1.0
        cells[self._sum] += value


Allocate = Callable[[str, Shape], tuple[Cells, int]]


class Series:
    """The live form of one metric: hands out its series, at most `MAX_SERIES` of them."""

    def __init__(self, metric: Metric, allocate: Allocate) -> None:
        self.metric = metric
        self.children: dict[tuple[str, ...], Cell] = {}
        self._shape = Shape.of(metric.declaration())
        self._allocate = allocate
        self._lock = threading.Lock()

    def labels(self, *values: str) -> Child:
        child = self.children.get(values)
        return child if child is not None else self._new(values)

    def move(self) -> None:
        """Give every series new cells, all 0."""
        self._lock = threading.Lock()  # the old one may be held by a thread that the fork left behind
        for values, child in self.children.items():
            child.move(*self._allocate(series_key(self.metric.name, self.metric.labels, values), self._shape))

    def _new(self, values: tuple[str, ...]) -> Child:
        if len(values) != len(self.metric.labels):
            raise ValueError(
                f"{self.metric.name} has the labels {list(self.metric.labels)}, got {list(values)}"
            )
        with self._lock:
            if len(self.children) >= MAX_SERIES and values not in self.children:
                values = (OTHER,) * len(values)
            if values not in self.children:
                # Interned, because the same few words stand in the labels of many series.
                values = tuple(sys.intern(str(value)) for value in values)
                place = self._allocate(series_key(self.metric.name, self.metric.labels, values), self._shape)
                self.children[values] = self._make(*place)
            return self.children[values]

    def _make(self, cells: Cells, at: int) -> Cell:
        if self.metric.kind == "histogram":
            return Histogram(cells, at, self.metric.buckets)
        if self.metric.kind == "counter":
            return Counter(cells, at)
        return NewestGauge(cells, at) if self._shape.kind == NEWEST else Gauge(cells, at)

    def inc(self, amount: float = 1.0) -> None:
        self.labels().inc(amount)

    def dec(self, amount: float = 1.0) -> None:
        self.labels().dec(amount)

    def set(self, value: float) -> None:
        self.labels().set(value)

    def observe(self, value: float) -> None:
        self.labels().observe(value)
