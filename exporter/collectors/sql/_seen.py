"""How many series a query has given in a day: each run may be small and their sum without an end."""

import time
from collections.abc import Callable, Iterable

from exporter.catalog import Sample
from exporter.collectors.sql._file import Query
from exporter.collectors.sql._rows import at

_DAY = 86400.0

Series = tuple[str, tuple[str, ...]]


class Seen:
    """The series of one query, each with the time when it was last given."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[Series, float] = {}

    def check(self, samples: Iterable[Sample], query: Query, limit: int) -> None:
        """Remember the samples' series. Raises QueryError, and remembers none, when they are too many."""
        now = self._clock()
        new = {(sample.metric.name, sample.labels) for sample in samples}
        self._last = {series: last for series, last in self._last.items() if now - last < _DAY}
        count = len(self._last.keys() | new)
        if count > limit:
            raise at(
                query,
                f"{count} series within a day, {limit} are allowed: a label must take few values,"
                " not one for each user, day or request",
            )
        self._last.update(dict.fromkeys(new, now))
