"""Jobs that APScheduler runs: how they ended, how late they began, which run is next."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from exporter.catalog import Metric, Sample
from exporter.instrument._guard import guarded
from exporter.store import OTHER, Store

RUNS = Metric(
    "scheduler_job_runs_total",
    "counter",
    "Runs of scheduled jobs: success, error, missed (too late to begin), max_instances (still running).",
    ("job", "result"),
)
DURATION = Metric(
    "scheduler_job_duration_seconds",
    "histogram",
    "Time from handing a run to its executor until its end.",
    ("job",),
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200),
)
LAG = Metric(
    "scheduler_job_lag_seconds",
    "histogram",
    "How much later than planned a run was begun.",
    ("job",),
    buckets=(0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800),
)
PENDING = Metric(
    "scheduler_jobs_pending",
    "gauge",
    "Jobs that wait for a next run; paused ones are not among them.",
    ("scheduler",),
    merge="max",
)
NEXT_RUN = Metric(
    "scheduler_job_next_run_timestamp_seconds",
    "gauge",
    "When the job is due next, as Unix time; 0 when no run is planned.",
    ("job",),
    merge="max",
)
LAST_RUN = Metric(
    "scheduler_job_last_run_timestamp_seconds",
    "gauge",
    "When a run of the job last ended, as Unix time.",
    ("job",),
    merge="newest",
)

RESULTS = ("success", "error", "missed", "max_instances")
# Runs under way, and names of jobs that have gone: those of a program are few, those of a queue are not.
_MOST = 1000
# A job store may be a database, and a thousand jobs may be added in a row.
_ASK_SECONDS = 1.0


def watch(store: Store, scheduler: Any, name: str = "default") -> Callable[[], None]:
    """Watch a scheduler of APScheduler 3; return the function that stops it.

    Raises TypeError for anything else. A job is called by its id, or by its name where the id was made up.
    """
    if not hasattr(scheduler, "add_listener") or not hasattr(scheduler, "get_jobs"):
        raise TypeError(
            f"watch_scheduler() knows schedulers of APScheduler 3, not {type(scheduler).__name__}"
        )
    watcher = _Watcher(store, scheduler, name)
    from apscheduler import events

    watcher.kinds = {
        events.EVENT_JOB_EXECUTED: "success",
        events.EVENT_JOB_ERROR: "error",
        events.EVENT_JOB_MISSED: "missed",
        events.EVENT_JOB_MAX_INSTANCES: "max_instances",
    }
    watcher.submitted = events.EVENT_JOB_SUBMITTED
    scheduler.add_listener(watcher.heard, events.EVENT_ALL)
    forget = store.at_scrape(watcher.read)

    def stop() -> None:
        scheduler.remove_listener(watcher.heard)
        forget()

    return stop


class _Watcher:
    """Listens to one scheduler: the ends of runs are told by its executors' threads, the rest by its own.

    The scheduler may hold its lock while it tells, and is asked under it: so never ask while holding ours.
    """

    def __init__(self, store: Store, scheduler: Any, name: str) -> None:
        self.kinds: dict[int, str] = {}
        self.submitted = 0
        self._store, self._scheduler, self._name = store, scheduler, name
        self._lock = threading.Lock()
        # By job and planned time. A run that is over at once is told of before its beginning is: then None.
        self._began: OrderedDict[tuple[str, Any], float | None] = OrderedDict()
        self._labels: OrderedDict[str, str] = OrderedDict()
        self._next: dict[str, float] = {}
        self._pending = 0
        self._changed = True
        self._ask_at = 0.0
        with guarded(store, "scheduler"):
            self._ask()

    def heard(self, event: Any) -> None:
        """Count what happened; nothing that fails here reaches the scheduler."""
        with guarded(self._store, "scheduler"):
            self._changed = True
            if time.monotonic() >= self._ask_at or getattr(event, "job_id", None) not in self._labels:
                self._ask()
            with self._lock:
                if event.code == self.submitted:
                    self._submitted(event, time.time())
                elif event.code in self.kinds:
                    self._ended(event, self.kinds[event.code], time.time())

    def read(self) -> Iterator[Sample]:
        """Tell what is planned."""
        if self._changed and time.monotonic() >= self._ask_at:
            self._ask()
        yield PENDING.sample(self._pending, scheduler=self._name)
        for job, when in list(self._next.items()):
            yield NEXT_RUN.sample(when, job=job)

    def _submitted(self, event: Any, now: float) -> None:
        job = self._label(event.job_id)
        for planned in event.scheduled_run_times:
            LAG.on(self._store).labels(job).observe(max(0.0, now - planned.timestamp()))
            if (event.job_id, planned) in self._began:
                del self._began[event.job_id, planned]
                DURATION.on(self._store).labels(job).observe(0.0)
            else:
                self._remember(event.job_id, planned, time.perf_counter())

    def _ended(self, event: Any, result: str, now: float) -> None:
        job = self._label(event.job_id)
        # A job that is still running misses as many runs at once as were due.
        runs = getattr(event, "scheduled_run_times", None) or [event.scheduled_run_time]
        RUNS.on(self._store).labels(job, result).inc(len(runs))
        if result not in ("success", "error"):  # such a run has not begun
            return
        for planned in runs:
            began = self._began.pop((event.job_id, planned), None)
            if began is None:
                self._remember(event.job_id, planned, None)
            else:
                DURATION.on(self._store).labels(job).observe(time.perf_counter() - began)
        LAST_RUN.on(self._store).labels(job).set(now)

    def _remember(self, job_id: str, planned: Any, began: float | None) -> None:
        self._began[job_id, planned] = began
        while len(self._began) > _MOST:
            self._began.popitem(last=False)

    def _label(self, job_id: str) -> str:
        return self._labels.get(job_id, OTHER)

    def _ask(self) -> None:
        """Read the jobs; a scheduler that has not been started yet knows those that wait to be added."""
        self._ask_at = time.monotonic() + _ASK_SECONDS
        self._changed = False
        jobs = self._scheduler.get_jobs()
        with self._lock:
            self._pending = 0
            planned = dict.fromkeys(self._next, 0.0)
            for job in jobs:
                label = self._labels[job.id] = job.name if _is_made_up(job.id) else job.id
                for result in RESULTS:  # all from the start, so that the first failure is an increase
                    RUNS.on(self._store).labels(label, result)
                due = getattr(job, "next_run_time", None)
                if due is not None:
                    self._pending += 1
                    planned[label] = min(due.timestamp(), planned.get(label) or due.timestamp())
            self._next = planned
            while len(self._labels) > _MOST:
                self._labels.popitem(last=False)


def _is_made_up(job_id: str) -> bool:
    """Whether APScheduler has made the id itself: 32 hexadecimal digits."""
    return len(job_id) == 32 and all(digit in "0123456789abcdef" for digit in job_id)
