"""Sequences that run out: a table whose keys come from one takes no more rows then."""

from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session

SLOW = EACH_DATABASE = True

USED = Metric(
    "database_sequence_used_ratio",
    "gauge",
    "Share of a sequence's numbers that is used up, for those nearest to their end; needs SELECT on them.",
    ("database", "schema", "sequence"),
)

# Those nearest to the end; each further one is safer than all of these.
_SHOWN = 20

# A sequence that the role may not read has no last_value, so it is left out here. One that is locked is
# too: reading it would wait. The type of the column that it feeds may end before the sequence does.
_SEQUENCES = """
with readable as materialized (
    select c.oid, n.nspname, c.relname, s.seqmin, s.seqmax, s.seqincrement
    from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
    where c.relpersistence <> 't' and not s.seqcycle
      and case when c.relkind = 'S' then has_sequence_privilege(c.oid, 'select') end  -- or it fails on others
      and not exists (
          select from pg_locks l
          where l.locktype = 'relation' and l.relation = c.oid
            and l.mode in ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')
            and l.database = (select oid from pg_database where datname = current_database()))
),
limits as (
    select r.*, pg_sequence_last_value(r.oid) as last_value,
           least(r.seqmax, min(case a.atttypid when 'int2'::regtype then 32767
                                               when 'int4'::regtype then 2147483647 end)) as highest,
           greatest(r.seqmin, min(case a.atttypid when 'int2'::regtype then -32768
                                                  when 'int4'::regtype then -2147483648 end)) as lowest
    from readable r
    left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = r.oid
                         and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
    left join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    group by r.oid, r.nspname, r.relname, r.seqmin, r.seqmax, r.seqincrement
)
select current_database() as database, nspname as schema, relname as sequence,
       case when seqincrement > 0 then (last_value - seqmin)::float8 / nullif(highest::numeric - seqmin, 0)
            else (seqmax - last_value)::float8 / nullif(seqmax::numeric - lowest, 0) end::float8 as used
from limits
where last_value is not null
order by used desc nulls last
limit $1
"""


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the sequences of the database that are nearest to their end."""
    for row in await session.rows(_SEQUENCES, _SHOWN):
        if row["used"] is not None:
            yield USED.sample(
                row["used"], database=row["database"], schema=row["schema"], sequence=row["sequence"]
            )
