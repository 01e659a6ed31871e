"""The statements that took most of the server's time, by their number; the text stays where it is.

Needs the extension pg_stat_statements in the database that we log in to.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import asyncpg

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session

SLOW = True

_LABELS = ("datname", "queryid", "user")


def _metric(name: str, help: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, "counter", help, _LABELS, origin="postgres_exporter")


CALLS = _metric(
    "pg_stat_statements_calls_total",
    "Times that the statement was run; `other` is all that are not shown, since the exporter started.",
)
SECONDS = _metric("pg_stat_statements_seconds_total", "Seconds that it took; `other` as with the calls.")
ROWS = _metric(
    "pg_stat_statements_rows_total", "Rows that it returned or changed; `other` as with the calls."
)
READ_SECONDS = _metric(
    "pg_stat_statements_block_read_seconds_total",
    "Of its seconds, those spent reading blocks; 0 unless track_io_timing is on.",
)
WRITE_SECONDS = _metric(
    "pg_stat_statements_block_write_seconds_total",
    "Of its seconds, those spent writing blocks; 0 unless track_io_timing is on.",
)
_METRICS = (CALLS, SECONDS, ROWS, READ_SECONDS, WRITE_SECONDS)

_OTHER = ("other", "other", "other")

Statement = tuple[str, str, str]  # the labels
Counts = tuple[float, ...]  # in the order of the metrics

_SCHEMA = """
select quote_ident(n.nspname) as schema
from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements'
"""
# false: without the texts, which the server would have to read from its disk. The same statement is counted
# once for what clients sent and once for what functions ran, from Postgres 14.
_STATEMENTS = """
select coalesce(d.datname, 'unknown') as datname, s.queryid::text as queryid,
       coalesce(r.rolname, 'unknown') as user,
       sum(s.calls)::float8 as calls, (sum(s.{total}) / 1000)::float8 as seconds, sum(s.rows)::float8 as rows,
       (sum(s.{read}) / 1000)::float8 as read_seconds, (sum(s.{write}) / 1000)::float8 as write_seconds
from {schema}.pg_stat_statements(false) s
left join pg_database d on d.oid = s.dbid
left join pg_roles r on r.oid = s.userid
where s.queryid is not null
group by 1, 2, 3
"""


class NoStatementsError(Exception):
    """The extension is not in the database that we log in to, or its library not in the server."""


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the statements with the greatest total time, and all others as one."""
    found = await session.rows(_SCHEMA)
    if not found:
        raise NoStatementsError("the extension pg_stat_statements is not in this database")
    query = _STATEMENTS.format(schema=found[0]["schema"], **columns(session.version))
    others = session.keep.remember("other statements", Others)
    try:
        rows = await session.rows(query)
    except asyncpg.ObjectNotInPrerequisiteStateError as error:
        raise NoStatementsError("the library pg_stat_statements is not loaded") from error
    for sample in parse(rows, session.statements, others):
        yield sample


def columns(version: int) -> dict[str, str]:
    """Return how this version calls the columns: renamed in 13, and again in 17."""
    prefix = "shared_" if version >= 17 else ""
    return {
        "total": "total_exec_time" if version >= 13 else "total_time",
        "read": f"{prefix}blk_read_time",
        "write": f"{prefix}blk_write_time",
    }


class Others:
    """What the statements that are not shown have done since the exporter started.

    It only ever rises. Were it the sum of their counts, it would fall with each one that comes to be shown,
    and Prometheus would take the fall for a restart and count everything again.
    """

    def __init__(self) -> None:
        self.counts: Counts = (0.0,) * len(_METRICS)
        self._last: dict[Statement, Counts] | None = None

    def add(self, now: Mapping[Statement, Counts], shown: Iterable[Statement]) -> None:
        """Add what all but the shown have done since last time. Counts that fell began anew."""
        nothing = (0.0,) * len(_METRICS)
        if self._last is not None:
            for statement in now.keys() - set(shown):
                before = self._last.get(statement, nothing)
                if any(new < old for new, old in zip(now[statement], before, strict=True)):
                    before = nothing
                self.counts = tuple(map(_risen, self.counts, now[statement], before))
        self._last = dict(now)


def _risen(count: float, new: float, old: float) -> float:
    return count + new - old


def parse(rows: Iterable[Mapping[str, Any]], shown: int, others: Others) -> Iterator[Sample]:
    """Yield the `shown` statements with the greatest total time, and the rest as `other`."""
    counts: dict[Statement, Counts] = {
        (row["datname"], row["queryid"], row["user"]): (
            row["calls"],
            row["seconds"],
            row["rows"],
            row["read_seconds"],
            row["write_seconds"],
        )
        for row in rows
    }
    longest = sorted(counts, key=lambda statement: (-counts[statement][1], statement))[:shown]
    others.add(counts, longest)
    for labels, values in [*((each, counts[each]) for each in longest), (_OTHER, others.counts)]:
        for metric, value in zip(_METRICS, values, strict=True):
            yield Sample(metric, labels, value)
