"""The SQL that makes the role for the Postgres collector: what it needs to read, and no more."""

import re
from collections.abc import Iterable

_TEXT = """\
-- What Watchkeeper needs in Postgres, and no more. Run it as a superuser, or as the administrator that a
-- cloud provider gives you, with psql; it can be run again. Then give the role a password with:
--   \\password {plain}

DO $grants$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal}) THEN
        CREATE ROLE {role} LOGIN;
    END IF;
END $grants$;

-- Statistics of all sessions, settings and sizes; no row of any table.
GRANT pg_monitor TO {role};
{connect}

-- Limits of the server's own, should the exporter fail to keep them: {connections} connections are what it
-- opens, and as many again while it is reloaded, or for `watchkeeper check` beside it.
ALTER ROLE {role} CONNECTION LIMIT {limit};
ALTER ROLE {role} SET statement_timeout = '60s';
ALTER ROLE {role} SET lock_timeout = '1s';
ALTER ROLE {role} SET idle_in_transaction_session_timeout = '60s';

-- For the topic `statements`, which needs shared_preload_libraries = 'pg_stat_statements' in postgresql.conf
-- and a restart, run this in the database of the exporter's address:
--   CREATE EXTENSION IF NOT EXISTS pg_stat_statements;

-- For the topic `sequences`, run this in each database whose sequences shall be watched:
--   GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
"""

_IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f$\\]")


def grants(role: str = "watchkeeper", databases: Iterable[str] = (), connections: int = 2) -> str:
    """Return the SQL for a role, the databases that it logs in to, and the collector's `connections`.

    Raises ValueError for a name that Postgres could not have, or that only trouble could have chosen.
    """
    names = list(databases)
    return _TEXT.format(
        role=_identifier(role),
        plain=role if re.fullmatch(r"[a-z_][a-z0-9_]*", role) else _identifier(role),
        literal="'" + role.replace("'", "''") + "'",
        connect="\n".join(
            f"GRANT CONNECT ON DATABASE {_identifier(name)} TO {_identifier(role)};" for name in names
        )
        or f"-- GRANT CONNECT ON DATABASE name TO {_identifier(role)};  -- where PUBLIC may not connect",
        connections=connections,
        limit=2 * connections + 1,
    )


def _identifier(name: str) -> str:
    if not name or _IMPOSSIBLE.search(name) or len(name.encode()) > 63:
        raise ValueError(f"{name!r} cannot be the name of a role or database")
    return '"' + name.replace('"', '""') + '"'
