"""The demo with its four workers: they count together, misbehave together, and none is left behind."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from examples import seed
from examples.shop.invoices import Invoices
from scripts.stack import leftovers
from scripts.stack.demo import WORKERS
from scripts.stack.process import is_free
from tests.waiting import wait_for


def workers(app) -> list[psutil.Process]:
    """The processes that answer requests."""
    return [
        one
        for one in psutil.Process(app.pid).children()
        if leftovers.runs(one) and "spawn_main" in " ".join(one.cmdline())
    ]


def numbers(pid: int) -> list[Path]:
    """The folder of this server's workers."""
    return list(Path("/dev/shm").glob(f"watchkeeper-{os.getuid()}/*-{pid}-*"))


def statuses(demo, count: int, path: str = "/") -> list[int]:
    return [demo.http.get(path).status_code for _ in range(count)]


@pytest.fixture
def faulty(demo):
    """Whatever a test switches on is off after it."""
    yield demo
    demo.http.delete("/faults")


def counted(demo) -> float:
    return demo.metric("http_requests_total", route="/", status="200")


def ask_and_count(demo, count: int) -> float:
    """Send requests, and return the counter when it has them: a worker counts after its answer is read."""
    before = counted(demo)
    assert statuses(demo, count) == [200] * count
    wait_for(lambda: counted(demo) == before + count)
    return before + count


def test_every_worker_tells_of_all(demo):
    """Not one request is lost or told twice, whichever worker answers the scrape."""
    now = ask_and_count(demo, 200)
    assert [counted(demo) for _ in range(12)] == [now] * 12
    assert demo.metric("watchkeeper_workers") == WORKERS == len(workers(demo.app))


def test_errors_hit_every_worker(faulty):
    """The chosen share fails over all: each worker owes at most half a failure."""
    faulty.http.post("/faults/errors?ratio=0.5&for=60")
    failed = statuses(faulty, 200).count(500)
    assert 100 - WORKERS / 2 <= failed <= 100


def test_a_switch_holds_in_all_workers_at_once(faulty):
    """From the answer on, every request meets it, and after the end none does."""
    faulty.http.post("/faults/errors?ratio=1&for=60")
    assert statuses(faulty, 30) == [500] * 30
    faulty.http.delete("/faults")
    assert statuses(faulty, 30) == [200] * 30


def test_a_switch_holds_without_redis(faulty):
    """Redis may be the very thing that is down."""
    faulty.redis.stop()
    try:
        faulty.http.post("/faults/errors?ratio=1&for=60")
        assert statuses(faulty, 30) == [500] * 30
    finally:
        faulty.redis.start()


def test_any_worker_ends_what_one_holds(faulty):
    """Memory is taken by the worker that was asked, and given back whichever is told to."""

    def used() -> int:
        return sum(one.memory_info().rss for one in workers(faulty.app))

    before = used()
    assert faulty.http.post("/faults/memory?megabytes=300&for=60").status_code == 200
    assert used() - before > 250_000_000
    faulty.http.delete("/faults")
    wait_for(lambda: used() - before < 100_000_000)


def test_a_killed_worker_is_replaced_and_nothing_is_forgotten(demo):
    """SIGKILL: what it had counted stays, nothing hangs as under way, and soon there are four again."""
    before = ask_and_count(demo, 50)
    old = workers(demo.app)
    old[0].kill()
    wait_for(lambda: len(set(workers(demo.app)) - set(old)) == 1, 60, "the replacement")
    wait_for(lambda: demo.metric("watchkeeper_workers") == WORKERS, 60, "its numbers")
    assert counted(demo) == before
    assert ask_and_count(demo, 50) == before + 50
    wait_for(lambda: demo.metric("http_requests_in_progress") == 0)


def test_invoice_runs_are_not_multiplied(demo):
    """As many runs are counted as were given out, over all workers."""

    def counted() -> float:
        return demo.metric("workflow_executions_total", workflow="invoice_sync")

    def given() -> int:
        return demo.rows("SELECT runs FROM jobs WHERE name = 'invoice_sync'")[0]["runs"]

    before = given()
    wait_for(lambda: given() > before + 5)
    first = given()
    now = counted()
    assert first - 1 <= now <= given()


def test_workers_that_start_together_prepare_the_database_once(demo):
    """One makes the tables and the past, the others find it; then each run of the job goes to one of them."""

    async def run() -> None:
        owner = await asyncpg.connect(demo.postgres.dsn)
        await owner.execute("CREATE DATABASE together")
        async with contextlib.AsyncExitStack() as pools:
            url = demo.postgres.dsn_of("together")
            each = [
                await pools.enter_async_context(asyncpg.create_pool(url, min_size=1, max_size=2))
                for _ in range(WORKERS)
            ]
            assert sorted(await asyncio.gather(*map(seed.prepare, each))) == [False] * (WORKERS - 1) + [True]
            assert await each[0].fetchval("SELECT count(*) FROM users") == 600
            invoices = [Invoices(pool) for pool in each]
            claims = await asyncio.gather(*(one.claim(60) for one in invoices))
            assert sorted(claims, key=str) == [1] + [None] * (WORKERS - 1)
            assert await invoices[0].claim(0) == 2
        await owner.execute("DROP DATABASE together")
        await owner.close()

    asyncio.run(run())


def test_a_worker_that_is_replaced_waits_for_nobody(demo):
    """A checkout under way does not hold back the worker that finds all prepared, nor the other way round."""

    async def run() -> None:
        async with (
            asyncpg.create_pool(demo.postgres.dsn, min_size=2, max_size=2) as pool,
            pool.acquire() as lent,
            lent.transaction(),
        ):
            await lent.execute("LOCK TABLE payments, subscriptions, users IN ROW EXCLUSIVE MODE")
            assert await asyncio.wait_for(seed.prepare(pool), 5) is False

    asyncio.run(run())


def test_workers_of_a_killed_server_end(demo, new_app, ai_url):
    """SIGKILL to the process that started them: no worker keeps the port, and no number stays in memory."""
    server = new_app(2, DATABASE_URL=demo.postgres.dsn, REDIS_URL=demo.redis.url, OPENAI_BASE_URL=ai_url)
    server.start()
    family = psutil.Process(server.pid).children(recursive=True)
    assert numbers(server.pid)
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not any(map(leftovers.runs, family)), 30, f"the end of {family}")
    assert is_free(server.port)
    server.stop()
    assert numbers(server.pid) == []


def test_a_stopped_server_leaves_no_worker_and_no_numbers(demo, new_app, ai_url):
    """SIGTERM ends all of them within the graceful time; /dev/shm is as it was."""
    server = new_app(2, DATABASE_URL=demo.postgres.dsn, REDIS_URL=demo.redis.url, OPENAI_BASE_URL=ai_url)
    server.start()
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        assert http.get("/").status_code == 200
    family = psutil.Process(server.pid).children(recursive=True)
    pid = server.pid
    assert numbers(pid)
    server.stop()
    assert not any(map(leftovers.runs, family))
    assert numbers(pid) == []
