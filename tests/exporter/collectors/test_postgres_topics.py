"""What single topics of Postgres find: statements, indexes, vacuums, sequences, transactions left open."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest
from pydantic import ValidationError

from exporter.catalog import Sample
from exporter.collectors import parts_of
from exporter.collectors import postgres as collector
from exporter.collectors.postgres import (
    activity,
    indexes,
    sequences,
    statements,
    tables_io,
    topics,
    vacuum,
    vacuum_progress,
)
from scripts.stack.servers import MONITOR
from tests.exporter.collectors.driving import execute, value, values, with_keep
from tests.waiting import wait_for, wait_for_async


async def topic(name: str, db, keep, **more) -> list[Sample]:
    """What one topic gives."""
    settings = collector.Settings(dsn=db.monitor_dsn, **more)
    (part,) = (part for part in collector.parts(settings) if part.name == name)
    return [sample async for sample in part.collect(settings, keep)]


def once(name: str, db, *before: str, **more) -> list[Sample]:
    """What one topic gives after these statements of the owner's."""

    async def scenario(keep):
        await execute(db.dsn, *before)
        return await topic(name, db, keep, **more)

    return with_keep(scenario)


def row(queryid: str, seconds: float, calls: float = 1, user: str = "web") -> dict[str, object]:
    return {
        "datname": "shop",
        "queryid": queryid,
        "user": user,
        "calls": calls,
        "seconds": seconds,
        "rows": 0,
        "read_seconds": 0,
        "write_seconds": 0,
    }


def seconds(rows, shown: int, others: statements.Others) -> dict[str, float]:
    """Seconds by number of the statement."""
    samples = statements.parse(rows, shown, others)
    return {sample.labels[1]: sample.value for sample in samples if sample.metric is statements.SECONDS}


def test_the_rest_of_the_statements_never_falls():
    """`other` counts what is not shown, also when a statement comes to be shown, or begins anew."""
    others = statements.Others()
    assert seconds([row("1", 10), row("2", 5), row("3", 4)], 1, others) == {"1": 10, "other": 0}
    assert seconds([row("1", 11), row("2", 6), row("3", 4)], 1, others) == {"1": 11, "other": 1}
    assert seconds([row("1", 11), row("2", 20), row("3", 4)], 1, others) == {"2": 20, "other": 1}
    assert seconds([row("1", 13), row("2", 20), row("3", 5)], 1, others) == {"2": 20, "other": 4}
    assert seconds([row("1", 2), row("2", 1), row("9", 1)], 1, others) == {"1": 2, "other": 6}


def test_the_longest_statements_are_told_by_number_without_their_text(database):
    """A statement has its calls, time and rows; none of its text is in any label."""
    asyncio.run(execute(database.dsn, *["select count(*) from generate_series(1, 100000) as hunter2"] * 3))
    samples = once("statements", database, statements=1000)
    mine = {
        s.labels: s.value for s in samples if s.metric is statements.CALLS and s.labels[0] == database.name
    }
    assert 3 in mine.values()
    assert not [s for s in samples if "hunter2" in "".join(s.labels)]
    # In the other databases of the server other tests may have worked as whom they liked.
    assert {s.labels[2] for s in samples if s.labels[0] == database.name} <= {"postgres", MONITOR}


@pytest.mark.parametrize(
    ("version", "total", "read"),
    [
        (12, "total_time", "blk_read_time"),
        (13, "total_exec_time", "blk_read_time"),
        (16, "total_exec_time", "blk_read_time"),
        (17, "total_exec_time", "shared_blk_read_time"),
    ],
)
def test_statements_are_read_in_every_version(version: int, total: str, read: str):
    """Columns have the names that the version gives them."""
    assert statements.columns(version) == {
        "total": total,
        "read": read,
        "write": read.replace("read", "write"),
    }


def test_indexes_are_told_with_what_is_wrong_with_them(database):
    """Size and use of each, and counts of unused, double and missing ones."""
    samples = once(
        "indexes",
        database,
        "create table a (id int primary key, b int, c text)",
        "create table child (id int, a_id int references a, other int references a)",
        "create index on child (a_id, id)",
        "insert into a select n, n, 'x' from generate_series(1, 100000) as n",
        "create index useless on a (b)",
        "create index c on a (lower(c)) where c > 'a'",
        "create index c_again on a (lower(c)) where c > 'a'",
        "create index c_else on a (lower(c)) where c > 'b'",
        "vacuum analyze a",
    )
    of = {"database": database.name}
    assert value(samples, indexes.SIZE, **of, schema="public", table="a", index="useless") > 1e6
    assert value(samples, indexes.SCANS, **of, table="a", index="useless") == 0
    assert value(samples, indexes.UNUSED, **of) >= 1
    assert value(samples, indexes.UNUSED_BYTES, **of) > 1e6
    assert value(samples, indexes.DUPLICATE, **of) == 1
    assert value(samples, indexes.FOREIGN_KEYS, **of) == 1
    assert value(samples, indexes.INVALID, **of) == 0


def test_a_failed_building_of_an_index_is_told(database):
    """What CREATE INDEX CONCURRENTLY leaves behind when it fails is counted as invalid."""
    asyncio.run(execute(database.dsn, "create table a (id int)", "insert into a values (1), (1)"))
    with pytest.raises(asyncpg.UniqueViolationError):
        asyncio.run(execute(database.dsn, "create unique index concurrently broken on a (id)"))
    assert value(once("indexes", database), indexes.INVALID) == 1


def test_a_locked_index_costs_its_own_size_only(database):
    """Under an exclusive lock an index has no size; those of other tables have theirs."""

    async def scenario(keep):
        await execute(
            database.dsn, "create table a (id int primary key)", "create table b (id int primary key)"
        )
        async with session(database.dsn, "begin", "reindex index a_pkey"):
            return await topic("indexes", database, keep)

    samples = with_keep(scenario)
    assert {s.labels[3] for s in samples if s.metric is indexes.SIZE} == {"b_pkey"}
    assert {s.labels[3] for s in samples if s.metric is indexes.SCANS} == {"a_pkey", "b_pkey"}


def test_tables_that_wait_for_a_vacuum_are_counted(database):
    """By the server's settings or the table's own; switched off stands beside it."""
    asyncio.run(
        execute(
            database.dsn,
            "create table a (id int) with (autovacuum_enabled = off)",
            "create table patient (id int)"
            " with (autovacuum_enabled = off, autovacuum_vacuum_threshold = 1000000)",
            "create table b (id int)",
            *[f"insert into {name} select generate_series(1, 1000)" for name in ("a", "patient", "b")],
            "delete from a",
            "delete from patient",
        )
    )

    def due():  # a session hands in its counts when it ends
        samples = once("vacuum", database)
        return samples if value(samples, vacuum.DUE) else None

    samples = wait_for(due)
    assert value(samples, vacuum.DUE, database=database.name) == 1
    assert value(samples, vacuum.AUTOVACUUM_OFF, database=database.name) == 2
    assert value(samples, vacuum.OLDEST, database=database.name) >= 0


def test_a_running_vacuum_shows_how_far_it_is(database):
    """Its table and phase are told, of another database by the table's number."""

    async def scenario(keep):
        await execute(
            database.dsn,
            "create table a (id int) with (autovacuum_enabled = off)",
            "insert into a select generate_series(1, 100000)",
        )
        slow = ("set vacuum_cost_limit = 1", "set vacuum_cost_delay = 100")
        async with session(database.dsn, *slow) as client:
            vacuuming = asyncio.create_task(client.execute("vacuum a"))

            async def seen():
                samples = await topic("vacuum_progress", database, keep)
                return samples if values(samples, vacuum_progress.HEAP_BLKS, relname="a") else None

            samples = await wait_for_async(seen)
            elsewhere = await from_postgres(database, keep)
            client.terminate()
            await asyncio.wait([vacuuming])
            vacuuming.exception()
            return samples, elsewhere

    async def from_postgres(db, keep):
        settings = collector.Settings(dsn=db.monitor_dsn.rpartition("/")[0] + "/postgres")
        (part,) = (part for part in collector.parts(settings) if part.name == "vacuum_progress")
        return [sample async for sample in part.collect(settings, keep)]

    samples, elsewhere = with_keep(scenario)
    of = {"datname": database.name, "relname": "a"}
    assert value(samples, vacuum_progress.HEAP_BLKS, **of) > 100
    phases = {s.labels[2]: s.value for s in samples if s.metric is vacuum_progress.PHASE}
    assert set(phases) == set(vacuum_progress.PHASES)
    assert sum(phases.values()) == 1
    (other,) = {s.labels[1] for s in elsewhere if s.metric is vacuum_progress.HEAP_BLKS}
    assert other.isdigit()
    assert values(samples, vacuum_progress.WORKERS)


def test_sequences_near_their_end_are_told_where_they_may_be_read(database):
    """The share is that of the column's type too; what the role may not read is left out."""
    samples = once(
        "sequences",
        database,
        "create table a (id int primary key)",
        "create sequence a_seq owned by a.id",
        f"select setval('a_seq', {2**31 - 1})",
        "create sequence half maxvalue 1001",
        "select setval('half', 501)",
        "create sequence down increment -1 minvalue -100",
        "select setval('down', -51)",
        "create sequence fresh",
        "create sequence secret",
        "select nextval('secret')",
        f"grant select on a_seq, half, down, fresh to {MONITOR}",
    )
    used = {s.labels[2]: s.value for s in samples if s.metric is sequences.USED}
    assert used == {"a_seq": 1.0, "half": 0.5, "down": pytest.approx(50 / 99)}


def test_blocks_of_tables_are_told(database):
    """Reads and hits of a table stand under its name."""
    samples = once(
        "tables_io", database, "create table a (id int)", "insert into a select generate_series(1, 1000)"
    )
    of = {"datname": database.name, "schemaname": "public", "relname": "a"}
    assert value(samples, tables_io.HEAP_HIT, **of) >= 0
    assert value(samples, tables_io.TOAST_READ, **of) == 0


def test_a_transaction_left_open_is_told(database):
    """A client that sits in a transaction has its age; our own readings are no long transactions."""

    async def scenario(keep):
        async with session(database.dsn, "begin", "select 1"):
            await asyncio.sleep(0.05)
            return await topic("activity", database, keep)

    samples = with_keep(scenario)
    assert value(samples, activity.IDLE_IN_TRANSACTION, database=database.name) >= 0.05
    assert value(samples, activity.IDLE_IN_TRANSACTION, database="postgres") >= 0
    assert value(samples, activity.LONG_RUNNING) >= 1
    assert value(samples, activity.OLDEST_TRANSACTION) >= 0.05


@asynccontextmanager
async def session(dsn: str, *before: str):
    connection = await asyncpg.connect(dsn)
    try:
        for statement in before:
            await connection.execute(statement)
        yield connection
    finally:
        connection.terminate()


def names(**settings) -> list[str]:
    return [
        part.name
        for part in parts_of(collector, collector.Settings(dsn="postgresql://u:p@db/shop", **settings))
    ]


def test_each_topic_is_a_part_and_each_named_database_too():
    """What is read in a database has a part for each one that is named; `without` leaves topics out."""
    assert names() == list(topics())
    several = names(databases="shop, crm", without="statements")
    assert {"tables.shop", "tables.crm", "activity"} <= set(several)
    assert not {"statements", "tables"} & set(several)
    assert "tables" in names(databases="all")


def test_what_is_slow_is_read_in_the_background():
    """Sizes, tables, indexes, statements have an interval and time-out of their own; the rest has not."""
    settings = collector.Settings(dsn="postgresql://u:p@db/shop", slow_interval=120, slow_timeout=7)
    limits = {part.name: (part.timeout, part.interval) for part in collector.parts(settings)}
    slow = {"indexes", "sequences", "sizes", "statements", "tables", "tables_io", "vacuum"}
    assert {name for name, each in limits.items() if each == (7, 120)} == slow
    assert {each for name, each in limits.items() if name not in slow} == {(None, None)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"without": ["tabels"]}, "no topic is called 'tabels'; there are activity, conflicts,"),
        ({"databases": ["all", "shop"]}, "give either names, or `all`"),
        ({"databases": ["shop", "shop"]}, "a name is empty or stands twice"),
        ({"databases": ""}, "a name is empty or stands twice"),
    ],
)
def test_wrong_names_are_refused(settings, message: str):
    """A topic that does not exist, or a list that means nothing, is an error of the configuration."""
    with pytest.raises(ValidationError, match=message):
        collector.Settings(dsn="postgresql://u:p@db/shop", **settings)
