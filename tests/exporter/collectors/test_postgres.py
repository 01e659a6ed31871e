"""Postgres: what a real server tells the role that may only monitor."""

import asyncio
import time
from contextlib import asynccontextmanager

import asyncpg
import pytest

from exporter.collectors import postgres as collector
from exporter.collectors._postgres import server_of
from exporter.collectors.postgres import activity, instance, locks, replication, settings, sizes, tables
from exporter.collectors.postgres import database as database_topic
from scripts.stack.servers import MONITOR
from tests.exporter.collectors.driving import execute, read, read_once, value, values, with_keep
from tests.waiting import wait_for, wait_for_async


def prepare(database):
    """For the contract: a table with a sequence that may be read, and a slot."""
    asyncio.run(
        execute(
            database.dsn,
            "create table things (id serial primary key)",
            "insert into things default values",
            f"grant select on things_id_seq to {MONITOR}",
            f"select pg_create_physical_replication_slot('{database.name}', true)",
        )
    )
    try:
        yield {"dsn": database.monitor_dsn, "databases": "all"}
    finally:
        asyncio.run(execute(database.dsn, f"select pg_drop_replication_slot('{database.name}')"))


@asynccontextmanager
async def session(dsn: str, *statements: str):
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
        yield connection
    finally:
        connection.terminate()


def reading(db, **more):
    return collector.Settings(dsn=db.monitor_dsn, **more)


def test_sessions_are_counted_by_state(database):
    """An idle and an idle-in-transaction session stand in their states, with the age of the transaction."""

    async def scenario(keep):
        async with session(database.dsn), session(database.dsn, "begin", "select 1"):
            return await read(collector, reading(database), keep)

    samples = with_keep(scenario)
    of = {"datname": database.name}
    assert sum(values(samples, activity.COUNT, **of, state="idle")) == 1
    assert sum(values(samples, activity.COUNT, **of, state="idle in transaction")) == 1
    assert max(values(samples, activity.MAX_TX_DURATION, **of, state="idle in transaction")) > 0


def test_every_state_has_a_series(database):
    """States that no session is in stand at 0, so that a rule never meets a gap."""
    samples = read_once(collector, reading(database))
    states = {sample.labels[4] for sample in samples if sample.metric is activity.COUNT}
    assert states == {
        "active",
        "idle",
        "idle in transaction",
        "idle in transaction (aborted)",
        "fastpath function call",
        "disabled",
    }


def test_running_statements_are_counted_without_our_own(database):
    """database_connections_active counts clients that work; with nobody there it is 0."""
    assert (
        value(read_once(collector, reading(database)), activity.CONNECTIONS_ACTIVE, database=database.name)
        == 0
    )

    async def scenario(keep):
        async with session(database.dsn) as client:
            sleeping = asyncio.create_task(client.execute("select pg_sleep(30)"))

            async def seen():
                samples = await read(collector, reading(database), keep)
                busy = value(samples, activity.CONNECTIONS_ACTIVE, database=database.name)
                return samples if busy == 1 else None

            samples = await wait_for_async(seen)
            client.terminate()
            await asyncio.wait([sleeping])
            sleeping.exception()
            return samples

    assert value(with_keep(scenario), activity.LONGEST_QUERY, database=database.name) > 0


def row(name: str | None, count: int, age: float = 0.0, state: str = "idle"):
    return {
        "datname": "shop",
        "state": state,
        "usename": "u",
        "application_name": name,
        "backend_type": "client backend",
        "wait_event_type": None,
        "wait_event": None,
        "count": count,
        "max_tx_duration": age,
    }


def test_clients_cannot_add_series_without_end():
    """Of the names that clients give themselves the most frequent are shown, the rest is one `other`."""
    rows = [row("web", 9), row("worker", 5), *[row(f"job-{n}", 1, age=n) for n in range(50)], row("", 3)]
    samples = list(activity.parse(rows, "db:5432", names_shown=2))
    counts = {sample.labels[0]: sample.value for sample in samples if sample.metric is activity.COUNT}
    assert counts == {"web": 9, "worker": 5, "other": 50, "": 3}
    assert value(samples, activity.MAX_TX_DURATION, application_name="other") == 49


def test_settings_are_in_base_units(database):
    """Memory is in bytes, time in seconds, switches are 1 or 0."""
    samples = read_once(collector, reading(database))
    assert value(samples, settings.MAX_CONNECTIONS) == 100
    assert value(samples, settings.SUPERUSER_RESERVED) == 3
    assert value(samples, settings.AUTOVACUUM) == 1
    assert value(samples, settings.WORK_MEM) == 4 * 2**20
    assert value(samples, settings.CHECKPOINT_TIMEOUT) == 300


@pytest.mark.parametrize(
    ("setting", "unit", "kind", "expected"),
    [
        ("16384", "8kB", "integer", 2**27),
        ("2", "ms", "real", 0.002),
        ("5", "min", "integer", 300),
        ("-1", "kB", "integer", -1),
        ("0.2", None, "real", 0.2),
        ("off", None, "bool", 0),
    ],
)
def test_a_setting_becomes_a_number(setting, unit, kind, expected):
    """Postgres's own units are undone; -1 stays the word for "not set"."""
    assert settings.number(setting, unit, kind) == pytest.approx(expected)


def test_tables_have_their_use_and_size(database):
    """Rows, scans and space of a table are told under its name and schema."""
    asyncio.run(
        execute(
            database.dsn,
            "create schema sales",
            "create table sales.orders (id int primary key)",
            "insert into sales.orders select generate_series(1, 1000)",
            "analyze sales.orders",
        )
    )
    of = {"datname": database.name, "schemaname": "sales", "relname": "orders"}

    def counted():  # a session hands in its counts when it ends, a moment after we have left
        samples = read_once(collector, reading(database))
        return samples if value(samples, tables.N_TUP_INS, **of) == 1000 else None

    samples = wait_for(counted)
    assert value(samples, tables.TABLE_SIZE, **of) > 1000 * 24
    assert value(samples, tables.INDEX_SIZE, **of) > 0
    assert value(samples, tables.LAST_ANALYZE, **of) == pytest.approx(time.time(), abs=60)
    assert value(samples, tables.LAST_VACUUM, **of) == 0


def test_only_the_largest_tables_are_shown(database):
    """The setting `tables` bounds the series; temporary tables give none."""
    asyncio.run(
        execute(
            database.dsn,
            *[f"create table t{n} (id int)" for n in range(5)],
            "insert into t3 select generate_series(1, 10000)",
            "analyze",
        )
    )

    async def scenario(keep):
        async with session(database.dsn, "create temporary table passing (id int)"):
            return await read(collector, reading(database, tables=1), keep)

    assert {s.labels for s in with_keep(scenario) if s.metric is tables.SEQ_SCAN} == {
        (database.name, "t3", "public")
    }


LOCKS = {
    "held on a table": ["begin", "lock table a in access exclusive mode"],
    "held on an index": ["begin", "reindex index a_pkey"],
    "held by truncate": ["begin", "truncate a"],
}


@pytest.mark.parametrize("how", LOCKS)
def test_a_locked_table_costs_its_own_size_only(database, how: str):
    """A table under an exclusive lock has no size; all others have theirs, and nobody waits."""
    asyncio.run(
        execute(
            database.dsn, "create table a (id int primary key, v text)", "create table b (id int primary key)"
        )
    )

    async def scenario(keep):
        async with session(database.dsn, *LOCKS[how]):
            begun = time.monotonic()
            samples = await read(collector, reading(database), keep)
            return samples, time.monotonic() - begun

    samples, took = with_keep(scenario)
    assert {s.labels[1] for s in samples if s.metric is tables.TABLE_SIZE} == {"b"}
    assert {s.labels[1] for s in samples if s.metric is tables.SEQ_SCAN} == {"a", "b"}
    assert took < 2


def test_a_lock_that_is_only_waited_for_is_no_trap(database):
    """Behind somebody who waits for an exclusive lock we would queue as well: that table is left out too."""
    asyncio.run(execute(database.dsn, "create table a (id int)", "create table b (id int)"))

    async def scenario(keep):
        async with session(database.dsn, "begin", "lock table a"), session(database.dsn) as waiter:
            waiting = asyncio.create_task(waiter.execute("truncate a"))

            async def blocked():
                samples = await read(collector, reading(database), keep)
                return samples if value(samples, locks.BLOCKED_SESSIONS, database=database.name) else None

            samples = await wait_for_async(blocked)
            waiter.terminate()
            await asyncio.wait([waiting])
            waiting.exception()
            return samples

    samples = with_keep(scenario)
    assert {s.labels[1] for s in samples if s.metric is tables.TABLE_SIZE} == {"b"}
    assert value(samples, locks.BLOCKED_SESSIONS, database=database.name) == 1
    assert value(samples, locks.LONGEST_LOCK_WAIT, database=database.name) > 0
    assert value(samples, locks.COUNT, datname=database.name, mode="accessexclusivelock") >= 2


def test_databases_have_size_age_and_work(database):
    """A database that we are not connected to is told as well."""
    samples = read_once(collector, reading(database))
    assert value(samples, sizes.SIZE, datname=database.name) > 1e6
    assert value(samples, sizes.SIZE, datname="postgres") > 1e6
    assert value(samples, database_topic.XACT_COMMIT, datname=database.name) >= 0


def test_a_primary_is_not_behind(database):
    """On a server that is no replica the lag is 0."""
    samples = read_once(collector, reading(database))
    assert value(samples, replication.IS_REPLICA) == 0
    assert value(samples, replication.LAG) == 0


def test_the_server_label_is_host_and_port(postgres, database):
    """pg_settings_* and pg_stat_activity_* carry the label that postgres_exporter gives them."""
    samples = read_once(collector, reading(database))
    assert {s.labels[0] for s in samples if s.metric is instance.STATIC} == {f"127.0.0.1:{postgres.port}"}
    assert server_of("postgresql://u:p@db/x") == "db:5432"
    assert server_of("postgresql://u:p@[::1]:5433/x") == "[::1]:5433"
    assert server_of("postgresql:///x?host=/run/postgresql") == "/run/postgresql:5432"
