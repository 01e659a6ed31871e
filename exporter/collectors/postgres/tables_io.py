"""Where each table's blocks came from: Postgres's cache, or the system below it."""

import sys
from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session, by_column, samples

SLOW = EACH_DATABASE = True


def _metric(name: str, help: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, "counter", help, ("datname", "relname", "schemaname"), origin="postgres_exporter")


HEAP_READ = _metric("pg_statio_user_tables_heap_blocks_read", "Blocks of the table that had to be read.")
HEAP_HIT = _metric("pg_statio_user_tables_heap_blocks_hit", "Blocks of the table found in the cache.")
IDX_READ = _metric("pg_statio_user_tables_idx_blocks_read", "Blocks of its indexes that had to be read.")
IDX_HIT = _metric("pg_statio_user_tables_idx_blocks_hit", "Blocks of its indexes found in the cache.")
TOAST_READ = _metric(
    "pg_statio_user_tables_toast_blocks_read", "Blocks of its long values that had to be read."
)
TOAST_HIT = _metric("pg_statio_user_tables_toast_blocks_hit", "Blocks of its long values found in the cache.")
TIDX_READ = _metric(
    "pg_statio_user_tables_tidx_blocks_read", "Blocks of its long values' index that had to be read."
)
TIDX_HIT = _metric(
    "pg_statio_user_tables_tidx_blocks_hit", "Blocks of its long values' index found in the cache."
)

_BLOCKS = """
select current_database() as datname, s.schemaname, s.relname,
       coalesce(heap_blks_read, 0) as heap_blocks_read, coalesce(heap_blks_hit, 0) as heap_blocks_hit,
       coalesce(idx_blks_read, 0) as idx_blocks_read, coalesce(idx_blks_hit, 0) as idx_blocks_hit,
       coalesce(toast_blks_read, 0) as toast_blocks_read, coalesce(toast_blks_hit, 0) as toast_blocks_hit,
       coalesce(tidx_blks_read, 0) as tidx_blocks_read, coalesce(tidx_blks_hit, 0) as tidx_blocks_hit
from pg_statio_user_tables s join pg_class c on c.oid = s.relid
where c.relpersistence <> 't'
order by c.relpages desc, s.relid
limit $1
"""

_BY_COLUMN = by_column(sys.modules[__name__], "pg_statio_user_tables_")


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the blocks of the largest tables."""
    for row in await session.rows(_BLOCKS, session.tables):
        labels = {name: row[name] for name in ("datname", "relname", "schemaname")}
        for sample in samples(row, _BY_COLUMN, **labels):
            yield sample
