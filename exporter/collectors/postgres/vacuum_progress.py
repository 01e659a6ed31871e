"""Vacuums that run now: since when, and how far they are."""

import sys
from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session, by_column, samples

_LABELS = ("datname", "relname")


def _metric(name: str, help: str, *more: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, "gauge", help, (*_LABELS, *more), origin="postgres_exporter")


PHASE = _metric(
    "pg_stat_progress_vacuum_phase",
    "Whether the vacuum is in this phase: 1 or 0.",
    "phase",
)
HEAP_BLKS = _metric("pg_stat_progress_vacuum_heap_blks", "Blocks of the table that is vacuumed.")
SCANNED = _metric("pg_stat_progress_vacuum_heap_blks_scanned", "Of these, blocks looked at so far.")
VACUUMED = _metric("pg_stat_progress_vacuum_heap_blks_vacuumed", "Of these, blocks cleaned so far.")
INDEX_VACUUMS = _metric(
    "pg_stat_progress_vacuum_index_vacuums",
    "Times that its indexes were cleaned; more than one means too little memory.",
)
WORKERS = Metric(
    "database_autovacuum_workers",
    "gauge",
    "Autovacuum processes at work now, in all databases.",
)
OLDEST = Metric(
    "database_autovacuum_longest_seconds",
    "gauge",
    "How long the oldest of them has been at it; 0 when none is.",
)

PHASES = (
    "initializing",
    "scanning heap",
    "vacuuming indexes",
    "vacuuming heap",
    "cleaning up indexes",
    "truncating heap",
    "performing final cleanup",
)

# Of another database's table the name cannot be known from here, so its number stands for it.
_PROGRESS = """
select datname::text as datname,
       case when datname = current_database() then relid::regclass::text else relid::text end as relname,
       phase, heap_blks_total as heap_blks, heap_blks_scanned, heap_blks_vacuumed,
       index_vacuum_count as index_vacuums
from pg_stat_progress_vacuum
"""
_WORKERS = """
select count(*) as workers,
       coalesce(greatest(0, max(extract(epoch from clock_timestamp() - xact_start))), 0)::float8 as longest
from pg_stat_activity where backend_type = 'autovacuum worker'
"""

_BY_COLUMN = by_column(sys.modules[__name__], "pg_stat_progress_vacuum_")


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield each vacuum that runs, and what autovacuum does."""
    for row in await session.rows(_PROGRESS):
        labels = {name: row[name] for name in _LABELS}
        phase = row.pop("phase")
        for each in PHASES:
            yield PHASE.sample(each == phase, **labels, phase=each)
        for sample in samples(row, _BY_COLUMN, **labels):
            yield sample
    for row in await session.rows(_WORKERS):
        yield WORKERS.sample(row["workers"])
        yield OLDEST.sample(row["longest"])
