"""Locks held, and sessions that wait for them."""

from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session

COUNT = Metric(
    "pg_locks_count",
    "gauge",
    "Locks held or waited for in each mode.",
    ("datname", "mode"),
    origin="postgres_exporter",
)
BLOCKED_SESSIONS = Metric(
    "database_blocked_sessions", "gauge", "Sessions that wait for another session's lock.", ("database",)
)
LONGEST_LOCK_WAIT = Metric(
    "database_longest_lock_wait_seconds",
    "gauge",
    "How long the most patient session has waited for a lock; before Postgres 14, since its statement began.",
    ("database",),
)

_LOCKS = """
select d.datname, m.mode, count(l.mode) as count
from pg_database d
cross join unnest(array['accesssharelock', 'rowsharelock', 'rowexclusivelock', 'shareupdateexclusivelock',
                        'sharelock', 'sharerowexclusivelock', 'exclusivelock', 'accessexclusivelock',
                        'sireadlock']) as m (mode)
left join pg_locks l on l.database = d.oid and lower(l.mode) = m.mode
group by 1, 2
"""

# Not pg_blocking_pids(): it stops the lock manager for each session it is asked of.
_WAITING = """
select d.datname as database,
       count(distinct a.pid) as blocked,
       greatest(coalesce(max(extract(epoch from clock_timestamp() - {since})), 0), 0)::float8 as longest
from pg_database d
left join (pg_stat_activity a join pg_locks l on l.pid = a.pid and not l.granted) on a.datname = d.datname
where d.datallowconn and not d.datistemplate
group by 1
"""


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield locks by mode and waiting sessions, of each database."""
    for row in await session.rows(_LOCKS):
        yield COUNT.sample(row["count"], datname=row["datname"], mode=row["mode"])
    # waitstart is empty for the first moment of a wait
    since = "coalesce(l.waitstart, a.query_start)" if session.version >= 14 else "a.query_start"
    for row in await session.rows(_WAITING.format(since=since)):
        yield BLOCKED_SESSIONS.sample(row["blocked"], database=row["database"])
        yield LONGEST_LOCK_WAIT.sample(row["longest"], database=row["database"])
