"""How long an event loop keeps a ready task waiting, asked from outside of it."""

import asyncio
import time
from collections import deque

WINDOW_SECONDS = 15.0  # one scrape interval: no hold-up falls between two scrapes


class LoopLag:
    """Sends a loop one message at a time and sees how late it comes: also while the loop is held up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._sent: float | None = None
        self._latest = 0.0
        self._lags: deque[tuple[float, float]] = deque()

    def ping(self) -> None:
        """Send a message unless one is under way. Raises RuntimeError when the loop is closed."""
        if self._sent is None:
            self._sent = time.monotonic()
            self.loop.call_soon_threadsafe(self._arrived)

    def _arrived(self) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            now = time.monotonic()
            self._latest = now - sent
            self._lags.append((now, self._latest))

    def now(self) -> float:
        """Return seconds: of the last message, or of the one that is still waiting."""
        sent = self._sent
        return self._latest if sent is None else max(self._latest, time.monotonic() - sent)

    def longest(self) -> float:
        """Return the longest of the last seconds."""
        since = time.monotonic() - WINDOW_SECONDS
        while self._lags and self._lags[0][0] < since:
            self._lags.popleft()
        sent = self._sent
        waiting = 0.0 if sent is None else time.monotonic() - sent
        return max([waiting, *[lag for _, lag in list(self._lags)]])
