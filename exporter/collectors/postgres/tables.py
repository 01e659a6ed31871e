"""Use, upkeep and size of each table in the database that we are connected to."""

import sys
from collections.abc import AsyncIterator

from exporter.catalog import Kind, Metric, Sample
from exporter.collectors.postgres._session import HELD, Session, by_column, samples

SLOW = EACH_DATABASE = True


def _metric(name: str, kind: Kind, help: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, kind, help, ("datname", "relname", "schemaname"), origin="postgres_exporter")


SEQ_SCAN = _metric("pg_stat_user_tables_seq_scan", "counter", "Scans of the whole table.")
SEQ_TUP_READ = _metric(
    "pg_stat_user_tables_seq_tup_read", "counter", "Rows read by scans of the whole table."
)
IDX_SCAN = _metric("pg_stat_user_tables_idx_scan", "counter", "Scans through one of the table's indexes.")
IDX_TUP_FETCH = _metric("pg_stat_user_tables_idx_tup_fetch", "counter", "Rows fetched through indexes.")
N_TUP_INS = _metric("pg_stat_user_tables_n_tup_ins", "counter", "Rows inserted.")
N_TUP_UPD = _metric("pg_stat_user_tables_n_tup_upd", "counter", "Rows updated.")
N_TUP_DEL = _metric("pg_stat_user_tables_n_tup_del", "counter", "Rows deleted.")
N_TUP_HOT_UPD = _metric(
    "pg_stat_user_tables_n_tup_hot_upd", "counter", "Rows updated without touching an index."
)
N_LIVE_TUP = _metric("pg_stat_user_tables_n_live_tup", "gauge", "Rows alive, as estimated.")
N_DEAD_TUP = _metric(
    "pg_stat_user_tables_n_dead_tup", "gauge", "Dead rows that vacuum has still to remove, as estimated."
)
N_MOD_SINCE_ANALYZE = _metric(
    "pg_stat_user_tables_n_mod_since_analyze",
    "gauge",
    "Rows changed since the planner's statistics were made.",
)
LAST_VACUUM = _metric(
    "pg_stat_user_tables_last_vacuum", "gauge", "When somebody vacuumed it, as a Unix time; 0 if never."
)
LAST_AUTOVACUUM = _metric(
    "pg_stat_user_tables_last_autovacuum", "gauge", "When autovacuum vacuumed it, as a Unix time; 0 if never."
)
LAST_ANALYZE = _metric(
    "pg_stat_user_tables_last_analyze", "gauge", "When somebody analysed it, as a Unix time; 0 if never."
)
LAST_AUTOANALYZE = _metric(
    "pg_stat_user_tables_last_autoanalyze",
    "gauge",
    "When autovacuum analysed it, as a Unix time; 0 if never.",
)
VACUUM_COUNT = _metric("pg_stat_user_tables_vacuum_count", "counter", "Times that somebody vacuumed it.")
AUTOVACUUM_COUNT = _metric(
    "pg_stat_user_tables_autovacuum_count", "counter", "Times that autovacuum vacuumed it."
)
ANALYZE_COUNT = _metric("pg_stat_user_tables_analyze_count", "counter", "Times that somebody analysed it.")
AUTOANALYZE_COUNT = _metric(
    "pg_stat_user_tables_autoanalyze_count", "counter", "Times that autovacuum analysed it."
)
TABLE_SIZE = _metric(
    "pg_stat_user_tables_table_size_bytes",
    "gauge",
    "Space of the table without its indexes; absent while it is locked.",
)
INDEX_SIZE = _metric(
    "pg_stat_user_tables_index_size_bytes",
    "gauge",
    "Space of the table's indexes; absent while it is locked.",
)

# relpages is the planner's own idea of the size: it needs no lock, and is good enough to choose by.
_STATISTICS = """
select current_database() as datname, s.schemaname, s.relname,
       seq_scan, seq_tup_read,
       coalesce(idx_scan, 0) as idx_scan, coalesce(idx_tup_fetch, 0) as idx_tup_fetch,
       n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, n_live_tup, n_dead_tup, n_mod_since_analyze,
       coalesce(extract(epoch from last_vacuum), 0)::float8 as last_vacuum,
       coalesce(extract(epoch from last_autovacuum), 0)::float8 as last_autovacuum,
       coalesce(extract(epoch from last_analyze), 0)::float8 as last_analyze,
       coalesce(extract(epoch from last_autoanalyze), 0)::float8 as last_autoanalyze,
       vacuum_count, autovacuum_count, analyze_count, autoanalyze_count
from pg_stat_user_tables s join pg_class c on c.oid = s.relid
where c.relpersistence <> 't'  -- temporary tables come and go, and each would leave series behind
order by c.relpages desc, s.relid
limit $1
"""

_SIZES = f"""
with {HELD}
select current_database() as datname, n.nspname as schemaname, c.relname,
       pg_table_size(c.oid) as table_size_bytes, pg_indexes_size(c.oid) as index_size_bytes
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid in (
    select s.relid from pg_stat_user_tables s join pg_class c on c.oid = s.relid
    where c.relpersistence <> 't' order by c.relpages desc, s.relid limit $1
)
  and not exists (select from held where held.oid in (c.oid, c.reltoastrelid))
"""  # noqa: S608 - built from constants

_BY_COLUMN = by_column(sys.modules[__name__], "pg_stat_user_tables_")


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the largest tables."""
    for query in (_STATISTICS, _SIZES):
        for row in await session.rows(query, session.tables):
            labels = {name: row[name] for name in ("datname", "relname", "schemaname")}
            for sample in samples(row, _BY_COLUMN, **labels):
                yield sample
