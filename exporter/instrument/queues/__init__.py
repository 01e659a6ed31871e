"""Job queues in Redis (arq, RQ, Celery): how many wait, how long the oldest has waited, how long each did."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from exporter.catalog import Metric, Sample
from exporter.instrument._guard import failed
from exporter.store import Store

DEPTH = Metric(
    "queue_depth",
    "gauge",
    "Jobs in a queue: ready, delayed (not due yet), in_flight (with a worker) or dead (given up).",
    ("queue", "backend", "state"),
    merge="newest",
)
OLDEST = Metric(
    "queue_oldest_job_age_seconds",
    "gauge",
    "Time that the job at the head of the queue has been due; 0 when none waits.",
    ("queue",),
    merge="newest",
)
WAIT = Metric(
    "queue_job_wait_seconds",
    "histogram",
    "Time that a job was due before a worker took it.",
    ("queue",),
    # Up to half an hour: a queue that is behind is behind by minutes, not by milliseconds.
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
)

STATES = ("ready", "delayed", "in_flight", "dead")

# Every worker of an application looks; Redis is asked no more often than this by each.
_LOOK_SECONDS = 5.0

_log = logging.getLogger("watchkeeper")


@dataclass
class Look:
    """What one queue holds: jobs by state, and since when the job at its head has been due (Unix time)."""

    depth: Mapping[str, float] = field(default_factory=dict)
    oldest: float | None = None


class Source(Protocol):
    """A kind of queue: `look` reads it, which may block and may raise; `stop` undoes what was patched."""

    backend: str

    def look(self) -> Mapping[str, Look]: ...

    def stop(self) -> None: ...


def watch(store: Store, queue: Any, names: tuple[str, ...] = ()) -> Callable[[], None]:
    """Watch an arq pool, an RQ queue or a Celery application; return the function that stops it.

    `names` are the queues to look at where the object does not say. Raises TypeError for anything else.
    """
    watcher = _Watcher(store, _source(store, queue, names))
    forget = store.at_scrape(watcher.read)

    def stop() -> None:
        forget()
        watcher.source.stop()

    return stop


def watch_worker(store: Store, worker: Any) -> Callable[[], None]:
    """Time how long jobs waited: of an arq `Worker` or its settings class, or an RQ worker.

    A Celery application tells by itself, once it is watched. Raises TypeError for anything else.
    """
    home = _home(worker)
    if home == "rq":
        from exporter.instrument.queues._rq import watch_worker as watch_rq

        return watch_rq(store, worker)
    if home == "arq" or hasattr(worker, "functions"):
        from exporter.instrument.queues._arq import watch_worker as watch_arq

        return watch_arq(store, worker)
    raise TypeError(f"watch_worker() knows workers of arq and RQ, not {type(worker).__name__}")


def waited(store: Store, queue: str, since: float) -> None:
    """Count that a worker has taken a job which was due at `since` (Unix time)."""
    WAIT.on(store).labels(queue).observe(max(0.0, time.time() - since))


def _source(store: Store, queue: Any, names: tuple[str, ...]) -> Source:
    home = _home(queue)
    if home == "arq":
        from exporter.instrument.queues._arq import ArqSource

        return ArqSource(queue, names)
    if home == "rq":
        from exporter.instrument.queues._rq import RQSource

        return RQSource(queue)
    if home == "celery":
        from exporter.instrument.queues._celery import CelerySource

        return CelerySource(store, queue, names)
    raise TypeError(
        f"watch_queue() knows arq's pools, RQ's queues and Celery applications, not {type(queue).__name__}"
    )


def _home(thing: Any) -> str:
    kind = thing if isinstance(thing, type) else type(thing)
    homes = {base.__module__.split(".")[0] for base in kind.__mro__}
    return next((home for home in ("arq", "rq", "celery") if home in homes), "")


class _Watcher:
    """Looks from a thread of its own, so that a slow Redis stops neither a scrape nor the application."""

    def __init__(self, store: Store, source: Source) -> None:
        self.source = source
        self._store = store
        self._found: Mapping[str, Look] = {}
        self._thread: threading.Thread | None = None
        self._process = 0
        self._look_at = 0.0

    def read(self) -> Iterator[Sample]:
        """Tell what was seen last, and look again when it is time."""
        if time.monotonic() >= self._look_at and not self._looking():
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._process = os.getpid()
            self._thread = threading.Thread(target=self._look, name="watchkeeper queues", daemon=True)
            self._thread.start()
        for queue, look in self._found.items():
            for state, count in look.depth.items():
                yield DEPTH.sample(count, queue=queue, backend=self.source.backend, state=state)
            age = time.time() - look.oldest if look.oldest else 0.0
            yield OLDEST.sample(0.0 if age < 0 else age, queue=queue)  # NaN stays NaN

    def _looking(self) -> bool:
        return self._process == os.getpid() and self._thread is not None and self._thread.is_alive()

    def _look(self) -> None:
        try:
            self._found = self.source.look()
        except Exception:
            failed(self._store, "queue")
            # Nobody knows how many wait now: better no number than an old one.
            unknown = {state: float("nan") for queue in self._found.values() for state in queue.depth}
            self._found = {queue: Look(unknown, float("nan")) for queue in self._found}


__all__ = [
    "DEPTH",
    "OLDEST",
    "STATES",
    "WAIT",
    "Look",
    "Source",
    "guarded",
    "waited",
    "watch",
    "watch_worker",
]
