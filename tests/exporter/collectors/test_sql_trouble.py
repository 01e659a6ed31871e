"""SQL metrics on bad days: each query fails alone, says why, and is back when its trouble is over."""

import asyncio
import time

import asyncpg

from exporter.collectors import sql as collector
from exporter.scrape import Scraper
from tests.exporter.collectors.driving import execute
from tests.exporter.collectors.sql_files import gauge, write
from tests.waiting import wait_for_async

GOOD = ("own_first", "own_last")


def on_a_page(settings, scenario):
    """What the scenario returns, given a function that scrapes a page of the collector alone."""

    async def run():
        scraper = Scraper({"sql": (collector, settings)})

        async def scrape(deadline: float = 10) -> dict[tuple[str, ...], float]:
            samples = await scraper.scrape(deadline)
            return {(sample.metric.name, *sample.labels): sample.value for sample in samples}

        try:
            return await scenario(scrape)
        finally:
            await scraper.close()

    return asyncio.run(run())


def beside_good_ones(path, *bad):
    """A file with a good metric before and behind the bad ones."""
    first, last = (gauge(name, "select 1 as value") for name in GOOD)
    return write(path, first, *bad, last)


def own_samples(page):
    return {name: value for (name, *_), value in page.items() if name.startswith("own_")}


TROUBLE = {
    "for ever": ("select 1 as value from pg_sleep(3600)", "timeout"),
    "work for ever": (
        "with recursive n (i) as (select 1 union all select i % 9 + 1 from n) select max(i) as value from n",
        "timeout",
    ),
    "million rows": ("select i as kind, i as value from generate_series(1, 1000000) as i", "invalid"),
    "text": ("select 'twelve' as value", "invalid"),
    "not a number": ("select 'NaN'::float as value", "invalid"),
    "missing table": ("select count(*) as value from nowhere", "invalid"),
    "missing right": ("select count(*) as value from pg_authid", "permission"),
    "locked table": ("select count(*) as value from locked", "lock"),
    "write": ("select nextval('s') as value", "invalid"),
}


def test_each_query_fails_alone_and_says_why(database, tmp_path):
    """Nine kinds of trouble in one file: the others are whole, and each reason is a metric."""
    labels = {"million rows": ["kind"]}
    names = {f"own_bad_{number}": kind for number, kind in enumerate(TROUBLE)}
    bad = [
        gauge(name, TROUBLE[kind][0], labels=labels.get(kind, []), timeout=0.3 if "ever" in kind else 5)
        for name, kind in names.items()
    ]
    path = beside_good_ones(tmp_path / "own.yml", *bad)
    settings = collector.Settings(dsn=database.monitor_dsn, file=path, interval=0)
    asyncio.run(
        execute(
            database.dsn, "create table locked ()", "create sequence s", "grant all on locked, s to public"
        )
    )

    async def scenario(scrape):
        holder = await asyncpg.connect(database.dsn)
        try:
            async with holder.transaction():
                await holder.execute("lock table locked")
                return [await scrape(), await scrape()]
        finally:
            await holder.close()

    for number, page in enumerate(on_a_page(settings, scenario), start=1):
        assert own_samples(page) == dict.fromkeys(GOOD, 1)
        for name in GOOD:
            assert page["watchkeeper_collector_success", f"sql.{name}"] == 1
        for name, kind in names.items():
            assert page["watchkeeper_collector_success", f"sql.{name}"] == 0
            assert page["watchkeeper_collector_failures_total", f"sql.{name}", TROUBLE[kind][1]] == number


def test_a_query_is_back_when_its_table_is(database, tmp_path):
    """What was wrong is tried again; nothing needs a restart."""
    path = beside_good_ones(tmp_path / "own.yml", gauge("own_late", "select count(*) as value from late"))
    settings = collector.Settings(dsn=database.monitor_dsn, file=path, interval=0)

    async def scenario(scrape):
        before = await scrape()
        await execute(database.dsn, "create table late ()", "grant select on late to public")
        after = await scrape()
        await execute(
            database.dsn, "drop table late", "create table late (a int)", "insert into late values (1)"
        )
        await execute(database.dsn, "grant select on late to public")
        return before, after, await scrape()

    before, after, changed = on_a_page(settings, scenario)
    assert own_samples(before) == dict.fromkeys(GOOD, 1)
    assert own_samples(after) == {**dict.fromkeys(GOOD, 1), "own_late": 0}
    assert own_samples(changed)["own_late"] == 1
    assert changed["watchkeeper_collector_success", "sql.own_late"] == 1


def test_a_label_that_vanished_is_dropped(database, tmp_path):
    """A plan without customers is gone from the page with the next run."""
    query = "select plan, count(*) as value from plans group by plan"
    path = write(tmp_path / "own.yml", gauge("own_plans", query, labels=["plan"]))
    settings = collector.Settings(dsn=database.monitor_dsn, file=path, interval=0)
    rows = ["create table plans (plan text)", "insert into plans values ('pro'), ('team')"]
    asyncio.run(execute(database.dsn, *rows, "grant select on plans to public"))

    async def scenario(scrape):
        before = await scrape()
        await execute(database.dsn, "delete from plans where plan = 'team'")
        return before, await scrape()

    before, after = on_a_page(settings, scenario)
    assert {series for series in before if series[0] == "own_plans"} == {
        ("own_plans", "pro"),
        ("own_plans", "team"),
    }
    assert {series for series in after if series[0] == "own_plans"} == {("own_plans", "pro")}


def test_old_values_stay_for_a_while_with_their_age_and_then_go(own_postgres, tmp_path):
    """In the background a failure shows at once, the last values for three intervals more, and no longer."""
    path = write(tmp_path / "own.yml", gauge("own_now", "select extract(epoch from now()) as value"))
    settings = collector.Settings(dsn=own_postgres.monitor_dsn, file=path, interval=0.4)

    async def scenario(scrape):
        first = await scrape()
        own_postgres.stop()

        async def failed():
            page = await scrape()
            return page["watchkeeper_collector_success", "sql.own_now"] == 0 and page

        stale = await wait_for_async(failed)
        gone = await wait_for_async(lambda: without_values(scrape))
        own_postgres.start()

        async def back():
            page = await scrape()
            return page["watchkeeper_collector_success", "sql.own_now"] == 1 and page

        return first, stale, gone, await wait_for_async(back)

    async def without_values(scrape):
        page = await scrape()
        return not own_samples(page) and page

    first, stale, gone, again = on_a_page(settings, scenario)
    since = ("watchkeeper_collector_last_success_timestamp_seconds", "sql.own_now")
    assert own_samples(stale)
    assert abs(stale[since] - stale["own_now",]) < 2
    assert stale["watchkeeper_collector_failures_total", "sql.own_now", "down"] >= 1
    assert gone[since] == stale[since] >= first[since]
    assert own_samples(again)["own_now"] > own_samples(stale)["own_now"]


def test_a_restarted_server_costs_no_run(own_postgres, tmp_path):
    """The first run after a restart finds its connection gone and opens another."""
    path = beside_good_ones(tmp_path / "own.yml")
    settings = collector.Settings(dsn=own_postgres.monitor_dsn, file=path, interval=0)

    async def scenario(scrape):
        await scrape()
        await asyncio.to_thread(own_postgres.restart)
        return await scrape()

    assert own_samples(on_a_page(settings, scenario)) == dict.fromkeys(GOOD, 1)


def test_a_frozen_server_delays_no_page(own_postgres, tmp_path):
    """The page comes at its deadline with what is known, with and without a connection; then all goes on."""
    path = beside_good_ones(tmp_path / "own.yml")

    def settings(interval: float) -> collector.Settings:
        return collector.Settings(dsn=own_postgres.monitor_dsn, file=path, interval=interval, timeout=0.5)

    async def with_a_connection(scrape):
        assert own_samples(await scrape()) == dict.fromkeys(GOOD, 1)
        await frozen(scrape, until=nothing)

    async def frozen(scrape, until=None):
        own_postgres.freeze()
        try:
            begun = time.monotonic()
            for _ in range(3):
                page = await scrape(0.3)
            took = time.monotonic() - begun
            failed = await wait_for_async(lambda: with_reason(scrape))
            if until:
                await wait_for_async(lambda: until(scrape))
        finally:
            own_postgres.thaw()
        assert took < 3 * 0.3 + 1
        assert page.keys() >= {("watchkeeper_collector_success", f"sql.{name}") for name in GOOD}
        assert failed["watchkeeper_collector_failures_total", "sql.own_first", "timeout"] >= 1
        await wait_for_async(lambda: whole(scrape))

    async def nothing(scrape):
        page = await scrape(0.3)
        successes = [page["watchkeeper_collector_success", f"sql.{name}"] for name in GOOD]
        return not own_samples(page) and successes == [0, 0]

    async def with_reason(scrape):
        page = await scrape(0.3)
        return ("watchkeeper_collector_failures_total", "sql.own_first", "timeout") in page and page

    async def whole(scrape):
        page = await scrape()
        return page["watchkeeper_collector_success", "sql.own_last"] and own_samples(page)

    on_a_page(settings(0.2), with_a_connection)
    on_a_page(settings(0), frozen)


def test_a_cancelled_query_leaves_nothing_behind(database, tmp_path):
    """Queries that ran into their limit do not go on in the server, and no connection is left over."""
    bad = [gauge(f"own_bad_{number}", TROUBLE["for ever"][0], timeout=0.2) for number in range(4)]
    path = beside_good_ones(tmp_path / "own.yml", *bad)
    settings = collector.Settings(dsn=database.monitor_dsn, file=path, interval=0)

    async def sessions(state: str) -> int:
        other = await asyncpg.connect(database.dsn)
        try:
            query = (
                "select count(*) from pg_stat_activity"
                " where usename = 'watchkeeper' and datname = current_database() and state like $1"
            )
            return await other.fetchval(query, state)
        finally:
            await other.close()

    async def scenario(scrape):
        for _ in range(3):
            await scrape()
        assert await sessions("active") == 0
        assert 1 <= await sessions("%") <= settings.connections

    on_a_page(settings, scenario)
