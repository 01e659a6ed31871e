"""Roles, and how many sessions each may have."""

from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session

CONNECTION_LIMIT = Metric(
    "pg_roles_connection_limit",
    "gauge",
    "Sessions that the role may have; -1 means no limit of its own.",
    ("rolname",),
    origin="postgres_exporter",
)

# Some servers have a role for each customer: those with a limit stand first.
_SHOWN = 200
_ROLES = """
select rolname, rolconnlimit from pg_roles
order by rolconnlimit >= 0 desc, rolcanlogin desc, rolname limit $1
"""


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield each role's limit."""
    for row in await session.rows(_ROLES, _SHOWN):
        yield CONNECTION_LIMIT.sample(row["rolconnlimit"], rolname=row["rolname"])
