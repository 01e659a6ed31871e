"""Queues of real arq, RQ and Celery on a real Redis: what waits, since when, and how long each did."""

import asyncio
import math
import threading
import time
from datetime import timedelta

import pytest
import redis
from arq import Worker, create_pool, func
from arq.connections import RedisSettings
from celery import Celery
from celery.contrib.testing.worker import start_worker
from prometheus_client import CollectorRegistry
from rq import Queue, SimpleWorker

from exporter import instrument
from exporter.instrument import queues as watched
from tests.waiting import wait_for, wait_for_async


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def observer(registry, monkeypatch):
    monkeypatch.setattr(watched, "_LOOK_SECONDS", 0.0)
    observer = instrument(registry=registry)
    yield observer
    observer.uninstrument()


def depth(registry, queue):
    """The states of a queue, as they are known now."""
    family = next((f for f in registry.collect() if f.name == "queue_depth"), None)
    samples = family.samples if family else ()
    return {s.labels["state"]: s.value for s in samples if s.labels["queue"] == queue}


def value(registry, name, queue):
    return registry.get_sample_value(name, {"queue": queue})


def nothing():
    """A job."""


def fail():
    raise RuntimeError("no")


@pytest.mark.filterwarnings("ignore:Call to:DeprecationWarning")
def test_arq_tells_what_is_ready_planned_and_running(registry, observer, own_redis):
    """A job stays in arq's set while it runs: it is in flight then, and does not wait."""

    async def run():
        settings = RedisSettings(port=own_redis.port, password=own_redis.password)
        pool = await create_pool(settings, default_queue_name="mail")
        observer.watch_queue(pool)
        gate = asyncio.Event()

        async def send(ctx):
            await gate.wait()

        async def seen(**states):
            return depth(registry, "mail") == states

        await pool.enqueue_job("send")
        await pool.enqueue_job("send")
        await pool.enqueue_job("send", _defer_by=timedelta(hours=1))
        await wait_for_async(lambda: seen(ready=2, delayed=1, in_flight=0))
        await wait_for_async(
            lambda: asyncio.sleep(0, value(registry, "queue_oldest_job_age_seconds", "mail"))
        )
        worker = Worker(
            [func(send, name="send")],
            queue_name="mail",
            redis_pool=pool,
            poll_delay=0.01,
            max_jobs=1,
            handle_signals=False,
        )
        observer.watch_worker(worker)
        working = asyncio.create_task(worker.async_run())
        await wait_for_async(lambda: seen(ready=1, delayed=1, in_flight=1))
        gate.set()
        await wait_for_async(lambda: seen(ready=0, delayed=1, in_flight=0))
        assert value(registry, "queue_oldest_job_age_seconds", "mail") == 0
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
        await pool.connection_pool.disconnect()

    asyncio.run(run())
    assert value(registry, "queue_job_wait_seconds_count", "mail") == 2
    assert 0 < value(registry, "queue_job_wait_seconds_sum", "mail") < 60


def test_rq_tells_of_all_its_registries(registry, observer, own_redis):
    """Ready, planned and failed; a worker's waits."""
    with redis.Redis.from_url(own_redis.url) as connection:
        queue = Queue("reports", connection=connection)
        observer.watch_queue(queue)
        queue.enqueue(nothing)
        queue.enqueue(fail)
        queue.enqueue_in(timedelta(hours=1), nothing)
        wait_for(lambda: depth(registry, "reports") == {"ready": 2, "delayed": 1, "in_flight": 0, "dead": 0})
        wait_for(lambda: value(registry, "queue_oldest_job_age_seconds", "reports"))
        worker = SimpleWorker([queue], connection=connection)
        observer.watch_worker(worker)
        worker.work(burst=True, logging_level="CRITICAL")
        wait_for(lambda: depth(registry, "reports") == {"ready": 0, "delayed": 1, "in_flight": 0, "dead": 1})
    assert value(registry, "queue_job_wait_seconds_count", "reports") == 2
    assert value(registry, "queue_oldest_job_age_seconds", "reports") == 0


@pytest.fixture
def celery_app(own_redis):
    app = Celery("tests", broker=own_redis.url, set_as_current=False)
    app.conf.update(
        worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True, task_ignore_result=True
    )
    yield app
    app.close()


def test_celery_counts_every_priority(registry, observer, celery_app):
    """Each priority is a list of its own in Redis; the oldest of all of them tells the age."""
    gate = threading.Event()
    begun = threading.Semaphore(0)

    @celery_app.task(name="work")
    def work():
        begun.release()
        gate.wait(20)

    observer.watch_queue(celery_app)
    for priority in (0, 3, 9):
        work.apply_async(priority=priority)
    wait_for(lambda: depth(registry, "celery") == {"ready": 3, "in_flight": 0})
    wait_for(lambda: value(registry, "queue_oldest_job_age_seconds", "celery"))
    with start_worker(celery_app, perform_ping_check=False, pool="solo", shutdown_timeout=30):
        assert begun.acquire(timeout=20)
        wait_for(lambda: depth(registry, "celery")["in_flight"] >= 1)
        gate.set()
        for _ in range(2):
            assert begun.acquire(timeout=20)
        wait_for(lambda: depth(registry, "celery") == {"ready": 0, "in_flight": 0})
    assert value(registry, "queue_job_wait_seconds_count", "celery") == 3
    assert value(registry, "queue_oldest_job_age_seconds", "celery") == 0


def test_a_task_for_later_waits_from_then_on(registry, observer, celery_app):
    """The time until its eta is no wait."""
    done = threading.Event()

    @celery_app.task(name="later")
    def later():
        done.set()

    observer.watch_queue(celery_app)
    later.apply_async(countdown=1)
    with start_worker(celery_app, perform_ping_check=False, pool="solo", shutdown_timeout=30):
        assert done.wait(20)
    wait_for(lambda: value(registry, "queue_job_wait_seconds_count", "celery") == 1)
    assert value(registry, "queue_job_wait_seconds_sum", "celery") < 1


def test_a_redis_that_is_gone_leaves_no_old_number(registry, observer, own_redis):
    """Nobody knows how many wait: NaN, which fires no alert and draws no line."""
    with redis.Redis.from_url(own_redis.url) as connection:
        queue = Queue("x", connection=connection)
        queue.enqueue(nothing)
        observer.watch_queue(queue)
        wait_for(lambda: depth(registry, "x").get("ready") == 1)
        own_redis.stop()
        wait_for(lambda: math.isnan(depth(registry, "x")["ready"]), 20)
        assert math.isnan(value(registry, "queue_oldest_job_age_seconds", "x"))
        own_redis.start()
        wait_for(lambda: depth(registry, "x").get("ready") == 0, 20)


def test_a_scrape_does_not_wait_for_redis(registry, observer):
    """The look is in a thread of ours, one at a time."""
    gate, looks = threading.Event(), []

    class Slow:
        backend = "slow"

        def look(self):
            looks.append(time.monotonic())
            gate.wait(20)
            return {"q": watched.Look({"ready": 4})}

        def stop(self):
            pass

    watcher = watched._Watcher(observer.store, Slow())
    assert [list(watcher.read()) for _ in range(3)] == [[], [], []]
    gate.set()
    wait_for(lambda: list(watcher.read()))
    assert len(looks) <= 2


@pytest.mark.parametrize("what", ["watch_queue", "watch_worker"])
def test_what_is_no_queue_is_refused(observer, what):
    """With the name of its type."""
    with pytest.raises(TypeError, match="not dict"):
        getattr(observer, what)({})


def test_celery_elsewhere_is_refused(observer):
    """RabbitMQ has its own exporter."""
    with pytest.raises(TypeError, match="not at amqp://"):
        observer.watch_queue(Celery("x", broker="amqp://guest@localhost//", set_as_current=False))
