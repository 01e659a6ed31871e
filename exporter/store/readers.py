"""What is read at scrape time: pools, caches, whatever knows its own state."""

import inspect
import logging
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from exporter.catalog import Metric, Sample

Read = Callable[[], Iterable[Sample]]
_log = logging.getLogger("watchkeeper")


class Held:
    """Functions to be called later. A method is held weakly: it goes with its object."""

    def __init__(self) -> None:
        self._all: list[Callable[[], Callable[[], Any] | None]] = []

    def add(self, function: Callable[[], Any]) -> Callable[[], bool]:
        """Hold a function; return what lets it go, and says whether it was still held."""
        held = weakref.WeakMethod(function) if inspect.ismethod(function) else lambda: function
        self._all.append(held)

        def remove() -> bool:
            if held not in self._all:
                return False
            self._all.remove(held)
            return True

        return remove

    def __iter__(self) -> Iterator[Callable[[], Any]]:
        for held in list(self._all):
            function = held()
            if function is not None:
                yield function
            elif held in self._all:
                self._all.remove(held)


def read(function: Read) -> list[Sample]:
    """Return what a reader yields now; nothing when it fails: one pool that is closing spoils no scrape."""
    try:
        return list(function())
    except Exception:
        _log.debug("a reader at scrape time failed", exc_info=True)
        return []


def together(samples: Iterable[Sample]) -> dict[tuple[Metric, tuple[str, ...]], float]:
    """Return one value for each series, merged as its metric tells where several readers say something."""
    found: dict[tuple[Metric, tuple[str, ...]], float] = {}
    for metric, labels, value in samples:
        before = found.get((metric, labels))
        if before is not None:
            value = before + value if metric.merge == "sum" else max(before, value)
        found[metric, labels] = value
    return found
