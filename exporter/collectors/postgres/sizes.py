"""Space that each database takes; asking looks at every file of it."""

from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session

SLOW = True

SIZE = Metric(
    "pg_database_size_bytes",
    "gauge",
    "Space that the database takes on disk.",
    ("datname",),
    origin="postgres_exporter",
)

# Without the right to connect the size of that one database is refused, and with it the whole query.
_SIZES = """
select datname, pg_database_size(oid) as size
from pg_database
where datconnlimit <> -2  -- half dropped
  and (has_database_privilege(oid, 'connect') or pg_has_role('pg_read_all_stats', 'usage'))
"""


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the size of each database."""
    for row in await session.rows(_SIZES):
        yield SIZE.sample(row["size"], datname=row["datname"])
