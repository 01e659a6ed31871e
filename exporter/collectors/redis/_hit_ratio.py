"""The hit ratio of the last five minutes, from counters that may be read at any rhythm and may start anew."""

from collections import deque
from itertools import pairwise
from typing import NamedTuple

WINDOW = 300.0  # seconds
# Two readings further apart than this say too little about the last five minutes.
_LONGEST_GAP = 2 * WINDOW
# Of several scrapers one a second is enough: 300 readings at most.
_SHORTEST_GAP = 1.0


class _Reading(NamedTuple):
    time: float
    hits: float  # counted through resets, so they never fall
    misses: float


class HitRatio:
    """Remembers the readings that the last five minutes need."""

    def __init__(self) -> None:
        self._readings: deque[_Reading] = deque()
        self._raw = (0.0, 0.0)

    def add(self, now: float, *, hits: float, misses: float, uptime: float) -> None:
        """Take in the counters as they stand; they have counted for `uptime` seconds at most."""
        previous, self._raw = self._raw, (hits, misses)
        if not self._readings:
            if uptime < WINDOW:  # all that was counted lies in the window
                self._readings.append(_Reading(now - uptime, 0.0, 0.0))
            else:
                self._readings.append(_Reading(now, 0.0, 0.0))
                return
        last = self._readings[-1]
        more = (hits - previous[0], misses - previous[1])
        if min(more) < 0:  # the server was restarted or its counters reset: they count from zero again
            more = (hits, misses)
        reading = _Reading(now, last.hits + more[0], last.misses + more[1])
        before = self._readings[-2] if len(self._readings) > 1 else None
        if before and now - before.time < _SHORTEST_GAP:
            self._readings[-1] = reading
        else:
            self._readings.append(reading)
        self._forget(now)

    def ratio(self) -> float | None:
        """Return hits over lookups since five minutes before the last reading; None without lookups."""
        if not self._readings:
            return None
        now = self._readings[-1]
        start = self._at(now.time - WINDOW)
        hits, misses = now.hits - start.hits, now.misses - start.misses
        return hits / (hits + misses) if hits + misses > 0 else None

    def _at(self, time: float) -> _Reading:
        """Return the counters at a moment, between two readings in proportion."""
        for left, right in pairwise(self._readings):
            if left.time <= time < right.time:
                share = (time - left.time) / (right.time - left.time)
                return _Reading(
                    time,
                    left.hits + share * (right.hits - left.hits),
                    left.misses + share * (right.misses - left.misses),
                )
        return self._readings[0]

    def _forget(self, now: float) -> None:
        """Drop what lies before the window, but for the one reading that its start is measured from."""
        while len(self._readings) > 1 and (
            self._readings[1].time <= now - WINDOW or self._readings[0].time < now - _LONGEST_GAP
        ):
            self._readings.popleft()
