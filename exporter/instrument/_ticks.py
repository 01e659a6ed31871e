"""Publishing a worker's gauges about twice a second, for the pages of the others."""

import asyncio
import threading
import weakref
from collections.abc import Callable
from time import perf_counter

from exporter.store import Store

TICK_SECONDS = 0.5  # how old a gauge of another worker may be


def on_loop(tick: Callable[[], bool]) -> bool:
    """Call `tick` from the running event loop until it returns False; False where there is no such loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another kind of loop: gauges are published at this worker's own scrapes
        return False

    def again() -> None:
        if tick():
            loop.call_later(TICK_SECONDS, again)

    loop.call_later(TICK_SECONDS, again)
    return True


class ThreadTicks:
    """Ticks of a store in a thread, for servers that have no loop. It goes with its store."""

    def __init__(self, store: Store) -> None:
        self._store = weakref.ref(store)
        self._lock = threading.Lock()
        self._runs = False
        self._last = 0.0
        store.at_fork(self._forked)

    @classmethod
    def of(cls, store: Store) -> "ThreadTicks":
        """Return the ticks of a store, always the same."""
        return store.share("ticks", lambda: cls(store))

    def ensure(self, now: float) -> None:
        """Start the thread, once; `now` is perf_counter()'s.

        Where threads are made but never run (uWSGI without --enable-threads), requests do its work.
        """
        if now - self._last < 2 * TICK_SECONDS:
            return
        with self._lock:
            starting, self._runs = not self._runs, True
        if starting:
            threading.Thread(target=self._run, name="watchkeeper-ticks", daemon=True).start()
        self._tick()

    def _run(self) -> None:
        wait = threading.Event().wait
        while self._tick():
            wait(TICK_SECONDS)

    def _tick(self) -> bool:
        store = self._store()
        if store is None:
            return False
        store.tick()
        self._last = perf_counter()
        return True

    def _forked(self) -> None:
        self._lock, self._runs, self._last = threading.Lock(), False, 0.0
