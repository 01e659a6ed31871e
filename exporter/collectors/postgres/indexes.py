"""Indexes: how large and how much used, and which are broken, useless, double or missing."""

import sys
from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import HELD, Session, by_column, samples

SLOW = EACH_DATABASE = True

_LABELS = ("database", "schema", "table", "index")

SCANS = Metric("database_index_scans_total", "counter", "Scans that used the index.", _LABELS)
SIZE = Metric(
    "database_index_size_bytes", "gauge", "Space of the index on disk; absent while it is locked.", _LABELS
)
INVALID = Metric(
    "database_indexes_invalid",
    "gauge",
    "Indexes that a failed building left behind: they cost writes and serve no query.",
    ("database",),
)
UNUSED = Metric(
    "database_indexes_unused",
    "gauge",
    "Indexes over 1 MB that no query here has used since statistics began, and that enforce nothing.",
    ("database",),
)
UNUSED_BYTES = Metric(
    "database_indexes_unused_bytes", "gauge", "Space that the unused indexes take, about.", ("database",)
)
DUPLICATE = Metric(
    "database_indexes_duplicate",
    "gauge",
    "Indexes that do no more than another one of the same table.",
    ("database",),
)
FOREIGN_KEYS = Metric(
    "database_foreign_keys_without_index",
    "gauge",
    "Foreign keys whose columns lead no index: each change of the other table scans this one.",
    ("database",),
)

_INDEXES = f"""
with {HELD}
select current_database() as database, n.nspname as schema, t.relname as table, i.relname as index,
       coalesce(s.idx_scan, 0) as scans_total,
       case when not exists (select from held where held.oid in (t.oid, i.oid))
            then pg_relation_size(i.oid) end as size_bytes
from pg_stat_user_indexes s
join pg_class i on i.oid = s.indexrelid
join pg_class t on t.oid = s.relid
join pg_namespace n on n.oid = t.relnamespace
where t.relpersistence <> 't'
order by i.relpages desc, i.oid
limit $1
"""  # noqa: S608 - built from constants

# relpages is the size that the last vacuum saw, and needs no lock. An index being built is not broken.
_STATE = """
with indexes as (
    select x.*, i.relpages, coalesce(s.idx_scan, 0) as scans,
           not (x.indisunique or x.indisprimary or x.indisexclusion or x.indisreplident)
           and not exists (select from pg_constraint c where c.conindid = x.indexrelid) as enforces_nothing
    from pg_index x
    join pg_class i on i.oid = x.indexrelid and i.relkind = 'i' and i.relpersistence <> 't'
    join pg_namespace n on n.oid = i.relnamespace
    left join pg_stat_user_indexes s on s.indexrelid = x.indexrelid
    where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'
),
unused as (
    select relpages from indexes
    where indisvalid and scans = 0 and enforces_nothing
      and relpages * current_setting('block_size')::bigint > 1048576
),
alike as (
    select count(*) - 1 as more
    from indexes
    where indisvalid
    group by indrelid, indkey::text, indclass::text, indcollation::text, indoption::text, indnkeyatts,
             regexp_replace(indexprs::text, ':location -?[0-9]+', '', 'g'),
             regexp_replace(indpred::text, ':location -?[0-9]+', '', 'g')
)
select current_database() as database,
       (select count(*) from indexes i
        where not indisvalid
          and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)
       ) as indexes_invalid,
       (select count(*) from unused) as indexes_unused,
       (select coalesce(sum(relpages), 0) * current_setting('block_size')::bigint from unused)
           as indexes_unused_bytes,
       (select coalesce(sum(more), 0) from alike) as indexes_duplicate,
       (select count(*) from pg_constraint c
        where c.contype = 'f' and c.conparentid = 0
          and not exists (
              select from pg_index x
              where x.indrelid = c.conrelid and x.indisvalid and x.indpred is null
                and (x.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
       ) as foreign_keys_without_index
"""

_MODULE = sys.modules[__name__]
_BY_INDEX_COLUMN = by_column(_MODULE, "database_index_")
_BY_STATE_COLUMN = by_column(_MODULE, "database_")


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the largest indexes, and the counts of those that deserve a look."""
    for row in await session.rows(_INDEXES, session.tables):
        for sample in samples(row, _BY_INDEX_COLUMN, **{name: row[name] for name in _LABELS}):
            yield sample
    for row in await session.rows(_STATE):
        for sample in samples(row, _BY_STATE_COLUMN, database=row["database"]):
            yield sample
