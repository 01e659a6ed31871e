"""Rows of the database board on Postgres: work, statements, locks, vacuum, indexes, space, replication."""

from typing import Any, Final

from dashboards.colours import alerting, falling
from dashboards.layout import cell, link, row
from dashboards.panels import timeseries
from dashboards.queries import (
    RANGE,
    before,
    increase,
    limit,
    plus,
    rate,
    ratio,
    top,
    value,
    worst,
)
from dashboards.selectors import like, metric
from dashboards.tables import table

UID: Final = "watchkeeper-database"

_database = like("$database")
_statement = ("datname", "queryid")
_found = rate(metric("pg_stat_database_blks_hit"), "datname", datname=_database)
_commits = rate(metric("pg_stat_database_xact_commit"), datname=_database).named("committed")
_rollbacks = rate(metric("pg_stat_database_xact_rollback"), datname=_database).named("rolled back")
_time = rate(metric("pg_stat_statements_seconds_total"), *_statement, over=RANGE, datname=_database)
_calls = rate(metric("pg_stat_statements_calls_total"), *_statement, over=RANGE, datname=_database)
_read = rate(
    metric("pg_stat_statements_block_read_seconds_total"), *_statement, over=RANGE, datname=_database
)
_index: dict[str, Any] = {"database": _database}

WORK = row(
    "Work and statements",
    timeseries(
        "Transactions",
        _commits,
        _rollbacks,
        before(_commits, "1w", "committed a week ago"),
        note="Rollbacks that rise alone are errors in the application.",
    ),
    timeseries(
        "Statements by time",
        top(
            5,
            rate(metric("pg_stat_statements_seconds_total"), *_statement, datname=_database).named(
                "{{datname}} {{queryid}}", "short"
            ),
        ),
        note="How many of each ran at once, on average: the five busiest at each moment.",
    ),
    table(
        "Statements",
        _time.named("At once", "short"),
        _calls.named("Calls/s"),
        ratio(_time, _calls).named("Mean", "s"),
        rate(metric("pg_stat_statements_rows_total"), *_statement, over=RANGE, datname=_database).named(
            "Rows/s"
        ),
        _read.named("Reading disks"),
        note="In the shown time, by id; `select query from pg_stat_statements where queryid = …` shows the "
        "text. 'other' is all that are not shown. A database's name leads to this board for it alone.",
        colours={"Mean": alerting("threshold:pg_stat_statements:mean_seconds")},
        links={"datname": link(UID, database=cell("datname"))},
        width=24,
    ),
)

MORE_WORK = row(
    "Rows, cache and temporary files",
    timeseries(
        "Rows written",
        rate(metric("pg_stat_database_tup_inserted"), datname=_database).named("inserted"),
        rate(metric("pg_stat_database_tup_updated"), datname=_database).named("updated"),
        rate(metric("pg_stat_database_tup_deleted"), datname=_database).named("deleted"),
        note="A jump without more requests is a job or a migration.",
    ),
    timeseries(
        "Rows read",
        rate(metric("pg_stat_database_tup_returned"), datname=_database).named("scanned"),
        rate(metric("pg_stat_database_tup_fetched"), datname=_database).named("fetched by an index"),
        note="Many scanned for few fetched: an index is missing.",
    ),
    timeseries(
        "Found in Postgres's cache",
        ratio(_found, plus(_found, rate(metric("pg_stat_database_blks_read"), "datname", datname=_database))),
        top=1,
        note="Share of the blocks. Below 99 % the working set outgrows the memory.",
    ),
    timeseries(
        "Transactions rolled back",
        ratio(_rollbacks, plus(_commits, _rollbacks)).named("rolled back"),
        top=1,
        note="Share of all. Above 5 %, look for errors in the application.",
    ),
    timeseries(
        "Temporary files",
        rate(metric("pg_stat_database_temp_bytes"), "datname", datname=_database),
        note="Sorts that do not fit in work_mem go to the disk.",
    ),
    timeseries(
        "Checkpoints",
        increase(metric("pg_stat_bgwriter_checkpoints_timed_total"), over="15m").named("in their time"),
        increase(metric("pg_stat_bgwriter_checkpoints_req_total"), over="15m").named("asked for"),
        increase(metric("pg_stat_checkpointer_num_timed_total"), over="15m").named("in their time (17+)"),
        increase(metric("pg_stat_checkpointer_num_requested_total"), over="15m").named("asked for (17+)"),
        interval="5m",
        note="In 15 minutes. Many that are asked for: max_wal_size is too small for what is written.",
    ),
    collapsed=True,
)

LOCKS = row(
    "Locks and long transactions",
    timeseries(
        "Blocked sessions",
        value(metric("database_blocked_sessions"), "database", **_index),
        note="Sessions that wait for another session's lock.",
    ),
    timeseries(
        "Longest wait for a lock",
        value(metric("database_longest_lock_wait_seconds"), "database", agg="max", **_index),
        note="Find who holds it: `select pg_blocking_pids(pid), * from pg_stat_activity`.",
    ),
    timeseries(
        "Longest query and longest idle transaction",
        value(metric("database_longest_query_seconds"), "database", agg="max", **_index).named(
            "{{database}} query"
        ),
        value(metric("database_longest_idle_in_transaction_seconds"), "database", agg="max", **_index).named(
            "{{database}} idle in transaction"
        ),
        limit("threshold:database_longest_query:seconds", "LongQuery"),
        note="An idle one keeps its locks, and vacuum waits for it. The dashed line is for queries.",
    ),
    timeseries(
        "Locks by mode",
        value(metric("pg_locks_count"), "mode", datname=_database),
        stacked=True,
        note="An accessexclusivelock stops every reader of a table: a migration.",
    ),
    timeseries(
        "Deadlocks",
        increase(metric("pg_stat_database_deadlocks"), "datname", over="5m", datname=_database),
        bars=True,
        interval="5m",
        note="In five minutes. Two transactions took the same rows in another order.",
    ),
    timeseries(
        "Sessions lost",
        increase(metric("database_sessions_lost_total"), "how", over="5m", **_index),
        bars=True,
        interval="5m",
        note="In five minutes: connections that broke, fatal errors, sessions that were killed.",
    ),
    collapsed=True,
)

HITS = falling(0.95, 0.99)
FOUND = worst(
    ratio(_found, plus(_found, rate(metric("pg_stat_database_blks_read"), "datname", datname=_database))),
    agg="min",
)
