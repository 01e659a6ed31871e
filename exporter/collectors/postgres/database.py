"""Work of each database since its statistics began, its age and its limit."""

import sys
from collections.abc import AsyncIterator

from exporter.catalog import Kind, Metric, Sample
from exporter.collectors.postgres._session import Session, by_column, samples


def _metric(name: str, kind: Kind, help: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, kind, help, ("datid", "datname"), origin="postgres_exporter")


NUMBACKENDS = _metric("pg_stat_database_numbackends", "gauge", "Sessions connected to the database.")
XACT_COMMIT = _metric("pg_stat_database_xact_commit", "counter", "Transactions committed.")
XACT_ROLLBACK = _metric("pg_stat_database_xact_rollback", "counter", "Transactions rolled back.")
BLKS_READ = _metric(
    "pg_stat_database_blks_read", "counter", "Blocks that were not in Postgres's cache and had to be read."
)
BLKS_HIT = _metric("pg_stat_database_blks_hit", "counter", "Blocks that were found in Postgres's cache.")
TUP_RETURNED = _metric("pg_stat_database_tup_returned", "counter", "Rows read by scans.")
TUP_FETCHED = _metric("pg_stat_database_tup_fetched", "counter", "Rows fetched through indexes.")
TUP_INSERTED = _metric("pg_stat_database_tup_inserted", "counter", "Rows inserted.")
TUP_UPDATED = _metric("pg_stat_database_tup_updated", "counter", "Rows updated.")
TUP_DELETED = _metric("pg_stat_database_tup_deleted", "counter", "Rows deleted.")
CONFLICTS = _metric(
    "pg_stat_database_conflicts",
    "counter",
    "Queries that a replica cancelled because replay needed their place.",
)
TEMP_FILES = _metric(
    "pg_stat_database_temp_files", "counter", "Files written because a sort or hash did not fit in work_mem."
)
TEMP_BYTES = _metric("pg_stat_database_temp_bytes", "counter", "Bytes written to such files.")
DEADLOCKS = _metric("pg_stat_database_deadlocks", "counter", "Deadlocks that Postgres had to break.")
BLK_READ_TIME = _metric(
    "pg_stat_database_blk_read_time",
    "counter",
    "Milliseconds spent reading blocks; 0 unless track_io_timing is on.",
)
BLK_WRITE_TIME = _metric(
    "pg_stat_database_blk_write_time",
    "counter",
    "Milliseconds spent writing blocks; 0 unless track_io_timing is on.",
)
STATS_RESET = _metric(
    "pg_stat_database_stats_reset",
    "counter",
    "When these counters were last reset, as a Unix time; 0 if never.",
)
ACTIVE_TIME = _metric(
    "pg_stat_database_active_time_seconds_total",
    "counter",
    "Seconds spent running statements, all sessions together, from Postgres 14.",
)
CHECKSUM_FAILURES = Metric(
    "database_checksum_failures_total",
    "counter",
    "Damaged blocks that were found in the database; absent unless it has checksums.",
    ("database",),
)
SESSIONS_LOST = Metric(
    "database_sessions_lost_total",
    "counter",
    "Sessions that ended otherwise than by the client's farewell, by how, from Postgres 14.",
    ("database", "how"),
)
CONNECTION_LIMIT = Metric(
    "pg_database_connection_limit",
    "gauge",
    "Sessions that the database accepts; -1 means no limit of its own.",
    ("datname",),
    origin="postgres_exporter",
)
WRAPAROUND_AGE = Metric(
    "pg_database_wraparound_age_datfrozenxid_seconds",
    "gauge",
    "Age of the oldest row in transactions, not seconds; at 2 billion Postgres stops accepting writes.",
    ("datname",),
    origin="postgres_exporter",
)
WRAPAROUND_AGE_MULTIXACT = Metric(
    "pg_database_wraparound_age_datminmxid_seconds",
    "gauge",
    "Age of the oldest row lock in multixacts, not seconds; at 2 billion Postgres stops accepting writes.",
    ("datname",),
    origin="postgres_exporter",
)

_STATISTICS = """
select datid::text, datname, numbackends, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned,
       tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks,
       blk_read_time, blk_write_time,
       coalesce(extract(epoch from stats_reset), 0)::float8 as stats_reset, checksum_failures{more}
from pg_stat_database
where datname is not null
"""

_FROM_14 = """,
       active_time / 1000 as active_time_seconds_total, sessions_abandoned, sessions_fatal, sessions_killed
"""

_DATABASES = """
select datname,
       datconnlimit as connection_limit,
       age(datfrozenxid) as wraparound_age_datfrozenxid_seconds,
       mxid_age(datminmxid) as wraparound_age_datminmxid_seconds
from pg_database
where datconnlimit <> -2  -- half dropped
"""

_BY_COLUMN = by_column(sys.modules[__name__], "pg_stat_database_")
_BY_DATABASE_COLUMN = by_column(sys.modules[__name__], "pg_database_")


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield what each database has done, and its age."""
    for row in await session.rows(_STATISTICS.format(more=_FROM_14 if session.version >= 14 else "")):
        for sample in samples(row, _BY_COLUMN, datid=row["datid"], datname=row["datname"]):
            yield sample
        if row["checksum_failures"] is not None:
            yield CHECKSUM_FAILURES.sample(row["checksum_failures"], database=row["datname"])
        for how in ("abandoned", "fatal", "killed"):
            if (count := row.get(f"sessions_{how}")) is not None:
                yield SESSIONS_LOST.sample(count, database=row["datname"], how=how)
    for row in await session.rows(_DATABASES):
        for sample in samples(row, _BY_DATABASE_COLUMN, datname=row["datname"]):
            yield sample
