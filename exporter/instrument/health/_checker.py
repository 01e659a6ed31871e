"""The one thread that starts the checks when they are due, gives verdicts in time, and publishes them."""

import asyncio
import threading
import time
import weakref
from collections.abc import Iterator

from exporter.instrument._guard import failed
from exporter.instrument.health._check import Check
from exporter.instrument.health._lag import LoopLag
from exporter.instrument.health._metrics import DEGRADED, DEPENDENCY_UP, LAG, LAST_CHECK, LATENCY, UP
from exporter.store import Store

_WAKE_SECONDS = 0.5


class Checker:
    """All checks of a store. It runs from `start` to `stop`, and goes with its store."""

    def __init__(self, store: Store) -> None:
        self.running = False
        self.starting = False  # between the server's word that it starts and the application's that it has
        self.stopping = False
        self.lag: LoopLag | None = None
        self._store = store
        self._checks: dict[str, Check] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        store.at_fork(self._forked)

    def add(self, check: Check) -> None:
        """Take a check; one with the same name is replaced."""
        with self._lock:
            before = self._checks.get(check.label)
            self._checks = {**self._checks, check.label: check}
        if before is not None:
            before.cancel()
        check.ended = self._look_again
        self._look_again()

    def _look_again(self) -> None:
        self._wake.set()

    def remove(self, check: Check) -> None:
        """Leave a check out from now on."""
        with self._lock:
            self._checks = {key: each for key, each in self._checks.items() if each is not check}
        check.cancel()

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks.values())

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Check from now on, coroutines in this loop; a loop that runs already stays in charge."""
        with self._lock:
            if self.running:
                return
            self.running, self.stopping = True, False
            self.lag = LoopLag(loop) if loop is not None else None
            self._wake = threading.Event()
            for check in self:
                check.restart()
            work = (weakref.ref(self), self._wake)
            self._thread = threading.Thread(target=_run, args=work, name="watchkeeper-health", daemon=True)
            self._thread.start()

    def stop(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Check no more; with a loop, only if that one is in charge."""
        with self._lock:
            if not self.running or (loop is not None and self._loop is not loop):
                return
            self.running = False
            self.lag = None
            thread, self._thread = self._thread, None
            self._wake.set()
        for check in self:
            check.cancel()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_WAKE_SECONDS)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None:
        lag = self.lag
        return lag.loop if lag is not None else None

    def step(self) -> float:
        """Do what is due; return how many seconds there is nothing to do."""
        now, lag = time.monotonic(), self.lag
        if lag is not None:
            try:
                lag.ping()
            except RuntimeError:  # the loop has gone; the next request brings another
                self.stop(lag.loop)
                return 0.0
            LAG.on(self._store).set(lag.longest())
        pause = _WAKE_SECONDS
        for check in self:
            check.expire(now)
            check.begin(now, lag.loop if lag is not None else None)
            run = check.run
            for at in (check.due, run.deadline if run is not None else now):
                pause = min(pause, at - now) if at > now else pause
        self._publish(now)
        return max(pause, 0.01)

    def _publish(self, now: float) -> None:
        # Set from here and not at scrapes: a worker whose loop is held up is seen on the others' pages.
        store, dependencies = self._store, dict[str, bool]()
        for check in self:
            seen = check.now(now)
            if seen.reason == "pending":
                continue
            up = seen.status in ("healthy", "degraded")
            UP.on(store).labels(check.label).set(int(up))
            DEGRADED.on(store).labels(check.label).set(int(seen.status != "healthy"))
            if check.seen is not None:
                LATENCY.on(store).labels(check.label).set(seen.latency)
                LAST_CHECK.on(store).labels(check.label).set(seen.time)
            name = check.settings.dependency
            if name:
                dependencies[name] = up and dependencies.get(name, True)
        for name, up in dependencies.items():
            DEPENDENCY_UP.on(store).labels(name).set(int(up))

    def guarded_step(self) -> float:
        """Do a step; what fails in it is counted."""
        try:
            return self.step()
        except Exception:
            failed(self._store, "health")
            return _WAKE_SECONDS

    def _forked(self) -> None:
        """Begin anew in the child, at its first request: the parent's thread is not here."""
        self._lock, self._wake = threading.Lock(), threading.Event()
        self.running, self.starting, self.stopping = False, False, False
        self.lag, self._thread = None, None
        for check in self:
            check.forget()


def _run(found: "weakref.ref[Checker]", wake: threading.Event) -> None:
    while True:
        checker = found()
        if checker is None or not checker.running or checker._wake is not wake:
            return
        wake.clear()
        pause = checker.guarded_step()
        del checker
        wake.wait(pause)
