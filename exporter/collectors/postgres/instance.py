"""The server itself: since when it runs, and which version."""

from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session

START_TIME = Metric(
    "pg_postmaster_start_time_seconds",
    "gauge",
    "When the server started, as a Unix time.",
    origin="postgres_exporter",
)
STATIC = Metric(
    "pg_static",
    "untyped",
    "Always 1; the labels tell the server's version.",
    ("server", "short_version", "version"),
    origin="postgres_exporter",
)

_SERVER = """
select extract(epoch from pg_postmaster_start_time())::float8 as started, version() as version,
       current_setting('server_version_num')::int as number
"""


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield start and version."""
    for row in await session.rows(_SERVER):
        yield START_TIME.sample(row["started"])
        short = f"{row['number'] // 10000}.{row['number'] % 10000}.0"
        yield STATIC.sample(1, server=session.server, short_version=short, version=row["version"])
