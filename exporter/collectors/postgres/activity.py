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

IDLE_IN_TRANSACTION = Metric(
    "database_longest_idle_in_transaction_seconds",
    "gauge",
    "How long a client has sat in an open transaction without a word; its locks stay, and vacuum waits.",
    ("database",),
)
LONG_RUNNING = Metric(
    "pg_long_running_transactions",
    "gauge",
    "Transactions under way, those of autovacuum and of this exporter left out.",
    origin="postgres_exporter",
)
OLDEST_TRANSACTION = Metric(
    "pg_long_running_transactions_oldest_timestamp_seconds",
    "gauge",
    "Age in seconds, in spite of the name, of the oldest of these transactions; 0 when there is none.",
    origin="postgres_exporter",
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

# All parts of this exporter read at the same time; none of them is what a user asks about.
_OURS = "(application_name = 'watchkeeper' and usename = current_user)"

_QUERIES = f"""
select d.datname as database,
       count(pid) filter (where state = 'active') as active,
       greatest(coalesce(max(extract(epoch from clock_timestamp() - query_start))
                         filter (where state = 'active'), 0), 0)::float8 as longest,
       greatest(coalesce(max(extract(epoch from clock_timestamp() - state_change))
                         filter (where state like 'idle in transaction%'), 0), 0)::float8 as idle
from pg_database d
left join pg_stat_activity a
  on a.datname = d.datname and a.backend_type = 'client backend' and not {_OURS}
where d.datallowconn and not d.datistemplate
group by 1
"""  # noqa: S608 - built from constants

_TRANSACTIONS = f"""
select count(*) as transactions,
       greatest(coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0), 0)::float8 as oldest
from pg_stat_activity
where state is distinct from 'idle' and query not like 'autovacuum:%' and xact_start is not null
  and not {_OURS}
"""  # noqa: S608 - built from constants


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield sessions by state, and the oldest statement of each database."""
    for sample in parse(await session.rows(_ACTIVITY), session.server, session.application_names):
        yield sample
    for row in await session.rows(_QUERIES):
        yield CONNECTIONS_ACTIVE.sample(row["active"], database=row["database"])
        yield LONGEST_QUERY.sample(row["longest"], database=row["database"])
        yield IDLE_IN_TRANSACTION.sample(row["idle"], database=row["database"])
    for row in await session.rows(_TRANSACTIONS):
        yield LONG_RUNNING.sample(row["transactions"])
        yield OLDEST_TRANSACTION.sample(row["oldest"])


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
