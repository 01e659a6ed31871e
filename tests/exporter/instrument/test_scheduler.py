"""APScheduler as it is: every end of a run is counted under the job's name, and the scheduler goes on."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import CollectorRegistry

from exporter import instrument
from exporter.instrument import scheduler as watched
from tests.waiting import wait_for, wait_for_async

SOON = {"trigger": "interval", "seconds": 3600}


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def observer(registry):
    return instrument(registry=registry)


@pytest.fixture
def scheduler():
    running = BackgroundScheduler(timezone="UTC")
    yield running
    if running.running:
        running.shutdown()


def value(registry, name, **labels):
    return registry.get_sample_value(name, labels)


def runs(registry, job, result="success"):
    return value(registry, "scheduler_job_runs_total", job=job, result=result)


def now():
    return datetime.now(UTC)


def test_a_run_is_counted_with_its_time_and_its_lateness(registry, observer, scheduler):
    """Success and error apart; both exist at 0 before, so that the first error is an increase."""

    def fail():
        raise RuntimeError("no")

    scheduler.add_job(lambda: None, id="fine", next_run_time=now(), **SOON)
    scheduler.add_job(fail, id="bad", next_run_time=now(), **SOON)
    scheduler.start(paused=True)
    observer.watch_scheduler(scheduler)
    assert (runs(registry, "fine"), runs(registry, "bad", "error")) == (0, 0)
    scheduler.resume()
    wait_for(lambda: runs(registry, "fine") and runs(registry, "bad", "error"))
    assert (runs(registry, "fine", "error"), runs(registry, "bad")) == (0, 0)
    assert value(registry, "scheduler_job_duration_seconds_count", job="fine") == 1
    assert value(registry, "scheduler_job_lag_seconds_count", job="bad") == 1
    assert value(registry, "scheduler_job_lag_seconds_sum", job="bad") < 60
    assert abs(value(registry, "scheduler_job_last_run_timestamp_seconds", job="bad") - time.time()) < 60


def test_a_job_that_cannot_keep_up_is_max_instances(registry, observer, scheduler):
    """The run that is due while the last one still runs is skipped, and counted as that."""
    gate = threading.Event()
    observer.watch_scheduler(scheduler)
    scheduler.add_job(gate.wait, "interval", seconds=0.05, args=[10], id="slow", next_run_time=now())
    scheduler.start()
    try:
        wait_for(lambda: runs(registry, "slow", "max_instances"))
        assert runs(registry, "slow", "success") == 0
    finally:
        gate.set()
    wait_for(lambda: runs(registry, "slow", "success"))


def test_a_run_that_comes_too_late_is_missed(registry, observer, scheduler):
    """Beyond its grace time APScheduler does not begin it."""
    observer.watch_scheduler(scheduler)
    late = now() - timedelta(seconds=30)
    scheduler.add_job(lambda: None, id="late", next_run_time=late, misfire_grace_time=1, **SOON)
    scheduler.start()
    wait_for(lambda: runs(registry, "late", "missed"))
    assert runs(registry, "late", "success") == 0


def test_what_is_planned_is_told(registry, observer, scheduler):
    """Jobs that wait, and when each is due; paused ones do not wait, and a removed one is due never."""
    scheduler.start()
    observer.watch_scheduler(scheduler, "nightly")
    due = now() + timedelta(hours=1)
    for name in ("a", "b"):
        scheduler.add_job(lambda: None, id=name, next_run_time=due, **SOON)

    def seen():
        return (
            value(registry, "scheduler_jobs_pending", scheduler="nightly"),
            value(registry, "scheduler_job_next_run_timestamp_seconds", job="a"),
            value(registry, "scheduler_job_next_run_timestamp_seconds", job="b"),
        )

    wait_for(lambda: seen() == (2, pytest.approx(due.timestamp()), pytest.approx(due.timestamp())))
    scheduler.pause_job("a")
    scheduler.remove_job("b")
    wait_for(lambda: seen() == (0, 0, 0))


def test_a_job_without_an_id_is_called_by_its_function(registry, observer, scheduler):
    """The id that APScheduler makes up would be a new series at every start."""
    scheduler.start()
    observer.watch_scheduler(scheduler)

    def tidy():
        pass

    for _ in range(3):
        scheduler.add_job(tidy)
    name = f"{test_a_job_without_an_id_is_called_by_its_function.__name__}.<locals>.tidy"
    wait_for(lambda: runs(registry, name) == 3)


def test_one_time_jobs_do_not_pile_up(registry, observer, scheduler):
    """What is remembered of runs and jobs has a limit."""
    scheduler.start(paused=True)
    observer.watch_scheduler(scheduler)
    (heard,) = [each for each, _ in scheduler._listeners]
    watcher = heard.__self__
    for number in range(1200):
        watcher._labels[f"{number:032x}"] = "one"
        watcher._began[f"{number:032x}", None] = 0.0
    scheduler.add_job(lambda: None, id="last", next_run_time=now(), **SOON)
    scheduler.resume()
    wait_for(lambda: runs(registry, "last"))
    assert len(watcher._labels) <= 1000
    assert len(watcher._began) <= 1000


def test_the_asyncio_scheduler_is_watched_too(registry, observer):
    """Its events come in the loop."""

    async def run():
        scheduler = AsyncIOScheduler(timezone="UTC")
        observer.watch_scheduler(scheduler)

        async def job():
            pass

        scheduler.add_job(job, id="async", next_run_time=now(), **SOON)
        scheduler.start()
        await wait_for_async(lambda: asyncio.sleep(0, runs(registry, "async")))
        scheduler.shutdown()

    asyncio.run(run())


def test_a_failure_of_ours_does_not_reach_the_scheduler(registry, observer, scheduler, monkeypatch):
    """The job runs, and the slip is counted."""
    observer.watch_scheduler(scheduler)
    monkeypatch.setattr(watched._Watcher, "_ended", lambda *_: 1 / 0)
    done = threading.Event()
    scheduler.add_job(done.set, id="x", next_run_time=now(), **SOON)
    scheduler.start()
    assert done.wait(10)
    wait_for(lambda: value(registry, "watchkeeper_instrumentation_errors_total", part="scheduler"))


def test_uninstrument_stops_it(registry, observer, scheduler):
    """No event is heard any more."""
    observer.watch_scheduler(scheduler)
    observer.uninstrument()
    assert scheduler._listeners == []


def test_what_is_no_scheduler_is_refused(observer):
    """With the name of its type."""
    with pytest.raises(TypeError, match="not dict"):
        observer.watch_scheduler({})


def test_a_scrape_while_jobs_are_added_does_not_stop_either(registry, observer, scheduler):
    """The scheduler tells of a new job under its lock, and a scrape asks it under the same: no embrace."""
    scheduler.start(paused=True)
    observer.watch_scheduler(scheduler)
    (heard,) = [each for each, _ in scheduler._listeners]
    over = threading.Event()

    def scrape():
        while not over.is_set():
            heard.__self__._ask_at = 0.0
            heard.__self__._changed = True
            list(heard.__self__.read())

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    for number in range(200):
        scheduler.add_job(lambda: None, id=f"job{number % 20}", replace_existing=True, **SOON)
    over.set()
    thread.join(10)
    assert not thread.is_alive()
