"""What a topic gets to read with, and how a row becomes samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from exporter.catalog import Metric, Sample, declared
from exporter.collectors import Keep
from exporter.collectors._postgres import Connection

# The size functions wait for whoever has, or waits for, an exclusive lock on the table, its TOAST table or
# one of their indexes. What is in that state is left out, so that it does not cost us all others: `held`
# has the indexes, their tables, and tables themselves.
HELD = """locked as materialized (
    select relation as oid from pg_locks
    where locktype = 'relation' and mode = 'AccessExclusiveLock'
      and database = (select oid from pg_database where datname = current_database())
),
held as materialized (
    select oid from locked union select i.indrelid from locked l join pg_index i on i.indexrelid = l.oid
)"""


@dataclass(frozen=True)
class Session:
    """One run: the connection, and what the topics need to know."""

    connection: Connection
    keep: Keep
    server: str  # host:port, for the metrics that postgres_exporter gives this label
    version: int  # major version of the server
    tables: int
    statements: int
    application_names: int

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """Return all rows of a query."""
        return [dict(row) for row in await self.connection.fetch(query, *arguments)]


def by_column(module: ModuleType, prefix: str) -> dict[str, Metric]:
    """Return a topic's metrics by the column that feeds each: the metric's name without `prefix`."""
    return {
        metric.name.removeprefix(prefix): metric
        for metric in declared(module)
        if metric.name.startswith(prefix)
    }


def samples(row: Mapping[str, Any], metrics: Mapping[str, Metric], **labels: str) -> Iterator[Sample]:
    """Yield a sample for each column that feeds a metric. NULL means unknown, and gives none."""
    for column, value in row.items():
        if column in metrics and value is not None:
            yield metrics[column].sample(float(value), **labels)
