"""Bad days of Postgres: what fails says why, the rest is whole, connections stay few, and it passes."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from exporter.catalog import Sample
from exporter.collectors import Keep, Shared
from exporter.collectors import postgres as collector
from exporter.collectors._postgres import leased
from exporter.collectors.postgres import locks, statements, tables, topics
from exporter.runner import Outcome
from exporter.scrape import Scraper
from scripts.stack.servers import Postgres, run_folder
from tests.exporter.collectors.driving import execute, value, values
from tests.waiting import wait_for, wait_for_async

SECRET = "hunter2"
SESSIONS = (
    "select count(*) from pg_stat_activity where application_name = 'watchkeeper' and usename = 'watchkeeper'"
)


class Page:
    """The page of one Postgres collector, scraped as Prometheus would."""

    def __init__(self, dsn: str, **settings: Any) -> None:
        self.settings = collector.Settings(dsn=dsn, slow_interval=0, **settings)
        self.scraper = Scraper({"postgres": (collector, self.settings)})

    async def outcomes(self, deadline: float = 9.5) -> dict[str, Outcome]:
        """How each topic ended."""
        outcomes = await self.scraper.outcomes(deadline)
        return {runner.name.removeprefix("postgres."): outcome for runner, outcome in outcomes}

    async def reasons(self, deadline: float = 9.5) -> dict[str, str]:
        """Why topics failed."""
        return {name: each.reason for name, each in (await self.outcomes(deadline)).items() if each.error}

    async def samples(self) -> list[Sample]:
        return await self.scraper.scrape(9.5)

    async def up(self) -> float:
        return value(await self.samples(), collector.UP)


def scraping(scenario: Callable[[Page], Awaitable[Any]], dsn: str, **settings: Any) -> Any:
    """What the scenario returns, with the page closed after it."""

    async def run() -> Any:
        page = Page(dsn, **settings)
        try:
            return await scenario(page)
        finally:
            await page.scraper.close()

    return asyncio.run(run())


def all_with(reason: str) -> dict[str, str]:
    return dict.fromkeys(topics(), reason)


@asynccontextmanager
async def session(dsn: str, *statements: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
        yield connection
    finally:
        connection.terminate()


async def sessions(dsn: str) -> int:
    async with session(dsn) as own:
        return await own.fetchval(SESSIONS)


@pytest.fixture(scope="module")
def shared_mortal(programs) -> Iterator[Postgres]:
    """One server for all tests of this file that stop or freeze it."""
    with run_folder() as folder:
        server = Postgres({name: programs[name] for name in ("initdb", "postgres")}, folder / "postgres")
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def mortal(shared_mortal) -> Iterator[Postgres]:
    """The same, running again after each test."""
    yield shared_mortal
    shared_mortal.thaw()
    if not shared_mortal.alive:
        shared_mortal.start()


def test_a_server_that_is_down_comes_back(mortal):
    """While it refuses, each topic says `down` at once; started again, all is there at the next scrape."""

    async def scenario(page: Page):
        await asyncio.to_thread(mortal.stop)
        begun = time.monotonic()
        down = await page.reasons()
        took = time.monotonic() - begun
        up = await page.up()
        await asyncio.to_thread(mortal.start)
        return down, took, up, await page.reasons(), await page.up()

    down, took, up, after, up_after = scraping(scenario, mortal.monitor_dsn)
    assert (down, up) == (all_with("down"), 0)
    assert took < 2
    assert (after, up_after) == ({}, 1)


def test_a_restarted_server_costs_no_scrape(mortal):
    """The connections that the restart cut are noticed, and replaced."""

    async def scenario(page: Page):
        await page.reasons()
        await asyncio.to_thread(mortal.restart)
        return await page.reasons()

    assert scraping(scenario, mortal.monitor_dsn) == {}


def test_a_wrong_password_is_called_auth_and_told_to_nobody(postgres, caplog):
    """All topics say `auth`; the server sees few tries; the password is in no log and no error."""
    caplog.set_level(logging.DEBUG)
    log = postgres.log.stat().st_size

    async def scenario(page: Page):
        outcomes = await page.outcomes()
        return outcomes, await page.scraper.page(9.5)

    dsn = f"postgresql://watchkeeper:{SECRET}@127.0.0.1:{postgres.port}/postgres"
    outcomes, text = scraping(scenario, dsn, connections=2)
    assert {name: each.reason for name, each in outcomes.items()} == all_with("auth")
    tries = postgres.log.read_text()[log:].count('failed for user "watchkeeper"')
    assert 1 <= tries <= 2 * 2  # two scrapes
    for each in outcomes.values():
        assert SECRET not in repr(each) + repr(each.error) + repr(each.error.__cause__) + each.advice
    assert SECRET not in caplog.text + text


def test_without_pg_monitor_only_what_needs_it_fails(postgres, database):
    """A role without rights still counts sessions and locks; what is refused says `permission`."""
    asyncio.run(execute(postgres.dsn, "create role test_bare login password 'p'"))
    try:

        async def scenario(page: Page):
            return await page.outcomes()

        dsn = f"postgresql://test_bare:p@127.0.0.1:{postgres.port}/{database.name}"
        outcomes = scraping(scenario, dsn)
    finally:
        asyncio.run(execute(postgres.dsn, "drop role test_bare"))
    assert {name: each.reason for name, each in outcomes.items() if each.error} == {"wal": "permission"}
    assert "pg_monitor" in outcomes["wal"].advice


def missing_statements(dsn: str) -> None:
    async def scenario(page: Page):
        return await page.outcomes()

    outcomes = scraping(scenario, dsn)
    assert {name for name, each in outcomes.items() if each.error} == {"statements"}
    assert outcomes["statements"].reason == "invalid"
    assert "CREATE EXTENSION" in outcomes["statements"].advice


def test_without_pg_stat_statements_one_topic_fails_and_says_what_to_do(database):
    """All others are whole, and a user who wants none of it leaves the topic out."""
    asyncio.run(execute(database.dsn, "drop extension pg_stat_statements"))
    missing_statements(database.monitor_dsn)

    async def scenario(page: Page):
        return await page.outcomes()

    less = scraping(scenario, database.monitor_dsn, without="statements")
    assert "statements" not in less
    assert {each.reason for each in less.values()} == {""}


def test_an_extension_without_its_library_is_told_as_missing(start_postgres):
    """Created, but not preloaded: the advice is the same."""
    missing_statements(start_postgres(settings={"shared_preload_libraries": ""}).monitor_dsn)


def test_the_extension_is_found_in_any_schema(database):
    """Where a hosted server keeps extensions in a schema of their own, they are found."""
    asyncio.run(
        execute(
            database.dsn,
            'create schema "My extensions"',
            'alter extension pg_stat_statements set schema "My extensions"',
            'grant usage on schema "My extensions" to watchkeeper',
        )
    )

    async def scenario(page: Page):
        return values(await page.samples(), statements.CALLS)

    assert len(scraping(scenario, database.monitor_dsn)) > 1


@pytest.mark.parametrize("when", ["before", "in a scrape"])
def test_a_frozen_server_is_left_alone(mortal, when: str):
    """Each scrape ends in its time; at the thaw the server never has more sessions of ours than allowed."""

    async def scenario(page: Page):
        assert await page.reasons() == {}
        if when == "before":
            mortal.freeze()
        else:
            running = asyncio.create_task(page.reasons(1.0))
            await asyncio.sleep(0)  # the readings have begun
            mortal.freeze()
            assert set((await running).values()) <= {"timeout"}
        for _ in range(4):
            begun = time.monotonic()
            assert await page.reasons(0.4) == all_with("timeout")
            assert time.monotonic() - begun < 0.4 + 0.5
        mortal.thaw()
        async with session(mortal.dsn) as observer:
            most = 0

            async def well() -> bool:
                nonlocal most
                scrape = asyncio.create_task(page.reasons())
                while not scrape.done():
                    most = max(most, await observer.fetchval(SESSIONS))
                return not scrape.result()

            await wait_for_async(well)
            return most

    assert scraping(scenario, mortal.monitor_dsn, timeout=0.5, slow_timeout=0.5) <= 2


def test_a_server_that_was_frozen_before_we_came_recovers_at_once(mortal):
    """A fresh exporter finds it frozen, ends in time, and reads everything in the first scrape after."""
    mortal.freeze()

    async def scenario(page: Page):
        for _ in range(3):
            assert await page.reasons(0.4) == all_with("timeout")
        mortal.thaw()
        await wait_for_async(lambda: _nothing(page.reasons()))
        return await sessions(mortal.dsn)

    assert scraping(scenario, mortal.monitor_dsn, timeout=0.3, slow_timeout=0.3) <= 2


async def _nothing(reasons: Awaitable[dict[str, str]]) -> bool:
    return not await reasons


def test_on_a_full_server_a_running_exporter_goes_on(start_postgres):
    """Its connections are kept; one that starts now says `too_many_connections` until a client leaves."""
    server = start_postgres(settings={"max_connections": "6", "superuser_reserved_connections": "1"})

    async def scenario(page: Page):
        assert await page.reasons() == {}
        clients = []
        with pytest.raises(asyncpg.TooManyConnectionsError):
            while True:
                clients.append(await asyncpg.connect(server.monitor_dsn))
        running = await page.reasons()
        late = Page(server.monitor_dsn)
        try:
            starting = await late.reasons()
            for client in clients:
                await client.close()
            await wait_for_async(lambda: _nothing(late.reasons()))
        finally:
            await late.scraper.close()
        return running, starting

    assert scraping(scenario, server.monitor_dsn) == ({}, all_with("too_many_connections"))


def test_a_locked_table_costs_nothing_but_its_size(database):
    """Under ACCESS EXCLUSIVE no topic fails, and all other tables have all their series."""
    asyncio.run(
        execute(
            database.dsn, "create table a (id serial primary key)", "create table b (id serial primary key)"
        )
    )

    async def scenario(page: Page):
        async with session(database.dsn, "begin", "lock table a in access exclusive mode"):
            return await page.samples(), await page.reasons()

    samples, reasons = scraping(scenario, database.monitor_dsn)
    assert reasons == {}
    assert {s.labels[1] for s in samples if s.metric is tables.TABLE_SIZE} == {"b"}
    assert {s.labels[1] for s in samples if s.metric is tables.SEQ_SCAN} == {"a", "b"}


def test_a_lock_in_the_way_is_called_lock_and_passes(database):
    """Where a lock cannot be gone around, who needs it says `lock` in half a second; others are whole."""

    async def scenario(page: Page):
        async with session(database.dsn, "begin", "lock table pg_sequence in access exclusive mode"):
            locked = await page.reasons()
        return locked, await page.reasons()

    assert scraping(scenario, database.monitor_dsn) == ({"sequences": "lock"}, {})


def test_one_forbidden_database_costs_its_own_tables_only(postgres, database):
    """Named or not, a database that does not let us in fails for itself."""
    closed = f"{database.name}_closed"
    asyncio.run(
        execute(
            postgres.dsn,
            f"create database {closed}",
            f"revoke connect on database {closed} from public",
        )
    )
    try:

        async def scenario(page: Page):
            return await page.reasons(), await page.samples()

        named, samples = scraping(scenario, database.monitor_dsn, databases=[database.name, closed])
        assert named == {
            f"{topic}.{closed}": "permission"
            for topic in topics()
            if hasattr(topics()[topic], "EACH_DATABASE")
        }
        assert values(samples, locks.COUNT, datname=database.name)
        every, samples = scraping(scenario, database.monitor_dsn, databases="all")
        assert every == {}
        assert values(samples, collector.READ_SUCCESS, database=database.name, topic="tables") == [1]
        assert values(samples, collector.READ_SUCCESS, database=closed) == []
    finally:
        asyncio.run(execute(postgres.dsn, f"drop database {closed}"))


def test_of_all_databases_one_that_fails_says_so(postgres, database, caplog):
    """A database that seems open and is not stands at 0, the log says why once, and the others are whole."""
    full = f"{database.name}_full"
    asyncio.run(execute(postgres.dsn, f"create database {full} connection limit 0"))
    try:

        async def scenario(page: Page):
            assert await page.reasons() == {}
            return await page.samples()

        samples = scraping(scenario, database.monitor_dsn, databases="all")
    finally:
        asyncio.run(execute(postgres.dsn, f"drop database {full}"))
    assert values(samples, collector.READ_SUCCESS, database=full, topic="tables") == [0]
    assert values(samples, collector.READ_SUCCESS, database=database.name, topic="tables") == [1]
    told = [record.message for record in caplog.records if f"postgres.tables of {full}" in record.message]
    assert len(told) == 1
    assert "(too_many_connections)" in told[0]


def test_closing_waits_for_nobody(mortal):
    """With the server frozen in the middle of a statement the exporter still stops at once."""

    async def scenario() -> float:
        shared = Shared()
        keep = Keep(shared)
        async with AsyncExitStack() as stack:
            frozen = collector.Settings(dsn=mortal.monitor_dsn)
            await stack.enter_async_context(leased(frozen, keep))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3), leased(frozen, keep) as connection:
                    await connection.fetchval("select 1")
                    mortal.freeze()
                    await connection.fetchval("select 1")
        begun = time.monotonic()
        await shared.close()
        return time.monotonic() - begun

    assert asyncio.run(scenario()) < 1


def test_nobody_is_left_when_the_exporter_stops(database):
    """After the stop the server has no session of ours."""

    async def scenario(page: Page):
        await page.reasons()
        async with session(database.dsn) as own:
            return await own.fetchval(f"{SESSIONS} and datname = $1", database.name)

    assert scraping(scenario, database.monitor_dsn) == 2

    def gone() -> bool:
        async def count() -> int:
            async with session(database.dsn) as own:
                return await own.fetchval(f"{SESSIONS} and datname = $1", database.name)

        return asyncio.run(count()) == 0

    wait_for(gone)
