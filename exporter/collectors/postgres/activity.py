"""Sessions: what they do, since when, and for whom."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session

_LABELS = (
    "application_name",
    "backend_type",
    "datname",
    "server",
    "state",
    "usename",
    "wait_event",
    "wait_event_type",
)

COUNT = Metric(
    "pg_stat_activity_count",
    "gauge",
    "Sessions in each state; sum by state or database.",
    _LABELS,
    origin="postgres_exporter",
)
MAX_TX_DURATION = Metric(
    "pg_stat_activity_max_tx_duration",
    "gauge",
    "Age in seconds of the oldest transaction among these sessions.",
    _LABELS,
    origin="postgres_exporter",
)
CONNECTIONS_ACTIVE = Metric(
    "database_connections_active",
    "gauge",
    "Server connections that run a statement now (state active), this exporter's own left out.",
    ("database",),
)
LONGEST_QUERY = Metric(
    "database_longest_query_seconds",
    "gauge",
    "Age of the oldest statement that clients of the database run now; 0 when none runs.",
    ("database",),
)

# Every state of every database has a row, so that a series does not vanish with its last session.
_ACTIVITY = """
with sessions as (
    select datname, state, usename, application_name, backend_type, wait_event_type, wait_event,
           count(*) as count,
           max(extract(epoch from clock_timestamp() - xact_start))::float8 as max_tx_duration
    from pg_stat_activity
    where datname is not null and state is not null
    group by 1, 2, 3, 4, 5, 6, 7
)
select d.datname, s.state, usename, application_name, backend_type, wait_event_type, wait_event,
       coalesce(count, 0) as count, greatest(coalesce(max_tx_duration, 0), 0) as max_tx_duration
from pg_database d
cross join unnest(array['active', 'idle', 'idle in transaction', 'idle in transaction (aborted)',
                        'fastpath function call', 'disabled']) as s (state)
left join sessions using (datname, state)
"""

_QUERIES = """
select d.datname as database,
       count(pid) as active,
       greatest(coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0), 0)::float8 as longest
from pg_database d
left join pg_stat_activity a
  on a.datname = d.datname and a.state = 'active' and a.backend_type = 'client backend'
 and a.pid <> pg_backend_pid()
where d.datallowconn and not d.datistemplate
group by 1
"""


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield sessions by state, and the oldest statement of each database."""
    for sample in parse(await session.rows(_ACTIVITY), session.server, session.application_names):
        yield sample
    for row in await session.rows(_QUERIES):
        yield CONNECTIONS_ACTIVE.sample(row["active"], database=row["database"])
        yield LONGEST_QUERY.sample(row["longest"], database=row["database"])


def parse(rows: Iterable[Mapping[str, Any]], server: str, names_shown: int) -> Iterator[Sample]:
    """Yield sessions by state. Clients choose their name: all but the most frequent become `other`."""
    rows = list(rows)
    sessions: Counter[str] = Counter()
    for row in rows:
        sessions[row["application_name"] or ""] += row["count"]
    shown = {name for name, _ in sessions.most_common(names_shown)} | {""}
    counts: Counter[tuple[str, ...]] = Counter()
    oldest: dict[tuple[str, ...], float] = {}
    for row in rows:
        texts = {**row, "server": server}
        if texts["application_name"] and texts["application_name"] not in shown:
            texts["application_name"] = "other"
        labels = tuple(texts[name] or "" for name in _LABELS)
        counts[labels] += row["count"]
        oldest[labels] = max(oldest.get(labels, 0.0), row["max_tx_duration"])
    for labels, count in counts.items():
        yield Sample(COUNT, labels, count)
        yield Sample(MAX_TX_DURATION, labels, oldest[labels])
