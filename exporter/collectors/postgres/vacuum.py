"""Upkeep of a database: which tables wait for a vacuum, and how old their oldest rows are."""

import sys
from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session, by_column, samples

SLOW = EACH_DATABASE = True

DUE = Metric(
    "database_tables_vacuum_due",
    "gauge",
    "Tables with more dead rows than autovacuum should let stand, by the server's and their own settings.",
    ("database",),
)
AUTOVACUUM_OFF = Metric(
    "database_tables_autovacuum_off",
    "gauge",
    "Tables for which somebody has switched autovacuum off.",
    ("database",),
)
OLDEST = Metric(
    "database_tables_oldest_age",
    "gauge",
    "Age of the table whose vacuum is longest ago, in transactions.",
    ("database",),
)

# autovacuum_vacuum_max_threshold came with Postgres 18; -1 means none.
_DUE = """
select current_database() as database,
       count(*) filter (where s.n_dead_tup > least(
           coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold')::float8)
           + coalesce(o.share, current_setting('autovacuum_vacuum_scale_factor')::float8)
             * greatest(c.reltuples, 0),
           nullif(coalesce(o.most, current_setting('autovacuum_vacuum_max_threshold', true)::float8), -1)
       )) as tables_vacuum_due,
       count(*) filter (where o.is_off) as tables_autovacuum_off,
       coalesce(max(age(c.relfrozenxid)), 0) as tables_oldest_age
from pg_stat_user_tables s
join pg_class c on c.oid = s.relid
left join lateral (
    select max(option_value::float8) filter (where option_name = 'autovacuum_vacuum_threshold') as threshold,
           max(option_value::float8) filter (where option_name = 'autovacuum_vacuum_scale_factor') as share,
           max(option_value::float8) filter (where option_name = 'autovacuum_vacuum_max_threshold') as most,
           bool_or(not option_value::bool) filter (where option_name = 'autovacuum_enabled') as is_off
    from pg_options_to_table(c.reloptions)
) o on true
where c.relkind in ('r', 'm') and c.relpersistence <> 't'
"""

_BY_COLUMN = by_column(sys.modules[__name__], "database_")


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the counts of the database that we are connected to."""
    for row in await session.rows(_DUE):
        for sample in samples(row, _BY_COLUMN, database=row["database"]):
            yield sample
