"""Queries that a replica cancelled because the replay of changes needed their place, by cause."""

import sys
from collections.abc import AsyncIterator

from exporter.catalog import Kind, Metric, Sample
from exporter.collectors.postgres._session import Session, by_column, samples

_LABELS = ("datid", "datname", "server")


def _metric(name: str, help: str, kind: Kind = "counter") -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, kind, help, _LABELS, origin="postgres_exporter")


TABLESPACE = _metric("pg_stat_database_conflicts_confl_tablespace", "Because a tablespace was dropped.")
LOCK = _metric("pg_stat_database_conflicts_confl_lock", "Because they held a lock.")
SNAPSHOT = _metric(
    "pg_stat_database_conflicts_confl_snapshot", "Because they could still see rows that were cleaned away."
)
BUFFERPIN = _metric("pg_stat_database_conflicts_confl_bufferpin", "Because they held a block in use.")
DEADLOCK = _metric("pg_stat_database_conflicts_confl_deadlock", "Because of a deadlock with the replay.")
SLOT = _metric(
    "pg_stat_database_conflicts_confl_active_logicalslot",
    "Uses of a logical slot that was invalidated, from Postgres 16.",
    "untyped",
)

# Older versions lack the column of the slots, and this asks for those that there are.
_CONFLICTS = "select * from pg_stat_database_conflicts"

_BY_COLUMN = by_column(sys.modules[__name__], "pg_stat_database_conflicts_")


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the conflicts of each database."""
    for row in await session.rows(_CONFLICTS):
        labels = {"datid": str(row["datid"]), "datname": row["datname"], "server": session.server}
        for sample in samples(row, _BY_COLUMN, **labels):
            yield sample
