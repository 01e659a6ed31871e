"""Settings of the server that a rule or a board compares with, in base units."""

from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session


def _metric(name: str, help: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, "gauge", help, ("server",), origin="postgres_exporter")


MAX_CONNECTIONS = _metric("pg_settings_max_connections", "Connections that the server accepts at most.")
SUPERUSER_RESERVED = _metric(
    "pg_settings_superuser_reserved_connections", "Connections that are kept back for superusers."
)
RESERVED_CONNECTIONS = _metric(
    "pg_settings_reserved_connections",
    "Connections kept back for roles with pg_use_reserved_connections, from Postgres 16.",
)
AUTOVACUUM = _metric("pg_settings_autovacuum", "Whether autovacuum is on: 1 or 0.")
AUTOVACUUM_MAX_WORKERS = _metric(
    "pg_settings_autovacuum_max_workers", "Autovacuum processes that may run at once."
)
VACUUM_THRESHOLD = _metric(
    "pg_settings_autovacuum_vacuum_threshold", "Dead rows that a table may have before its size counts."
)
VACUUM_SCALE_FACTOR = _metric(
    "pg_settings_autovacuum_vacuum_scale_factor", "Share of dead rows that makes a table due, on top."
)
FREEZE_MAX_AGE = _metric(
    "pg_settings_autovacuum_freeze_max_age", "Age in transactions at which a table is vacuumed in any case."
)
MULTIXACT_FREEZE_MAX_AGE = _metric(
    "pg_settings_autovacuum_multixact_freeze_max_age",
    "Age in multixacts at which a table is vacuumed in any case.",
)
SHARED_BUFFERS = _metric("pg_settings_shared_buffers_bytes", "Memory that caches pages of all databases.")
EFFECTIVE_CACHE_SIZE = _metric(
    "pg_settings_effective_cache_size_bytes", "Cache that the planner reckons with, the system's included."
)
WORK_MEM = _metric("pg_settings_work_mem_bytes", "Memory of one sort or hash before it goes to disk.")
MAINTENANCE_WORK_MEM = _metric(
    "pg_settings_maintenance_work_mem_bytes", "Memory of one vacuum or one building of an index."
)
MAX_WAL_SIZE = _metric("pg_settings_max_wal_size_bytes", "Write-ahead log that brings on a checkpoint.")
CHECKPOINT_TIMEOUT = _metric(
    "pg_settings_checkpoint_timeout_seconds", "Longest time between two checkpoints."
)
SERVER_VERSION_NUM = _metric(
    "pg_settings_server_version_num", "Version of the server: major times 10000 plus minor."
)
TRACK_IO_TIMING = _metric(
    "pg_settings_track_io_timing",
    "Whether reading and writing are timed: 1 or 0; without, their times stay 0.",
)

_METRICS = {
    "max_connections": MAX_CONNECTIONS,
    "superuser_reserved_connections": SUPERUSER_RESERVED,
    "reserved_connections": RESERVED_CONNECTIONS,
    "autovacuum": AUTOVACUUM,
    "autovacuum_max_workers": AUTOVACUUM_MAX_WORKERS,
    "autovacuum_vacuum_threshold": VACUUM_THRESHOLD,
    "autovacuum_vacuum_scale_factor": VACUUM_SCALE_FACTOR,
    "autovacuum_freeze_max_age": FREEZE_MAX_AGE,
    "autovacuum_multixact_freeze_max_age": MULTIXACT_FREEZE_MAX_AGE,
    "shared_buffers": SHARED_BUFFERS,
    "effective_cache_size": EFFECTIVE_CACHE_SIZE,
    "work_mem": WORK_MEM,
    "maintenance_work_mem": MAINTENANCE_WORK_MEM,
    "max_wal_size": MAX_WAL_SIZE,
    "checkpoint_timeout": CHECKPOINT_TIMEOUT,
    "server_version_num": SERVER_VERSION_NUM,
    "track_io_timing": TRACK_IO_TIMING,
}

_BYTES = {"B": 1, "kB": 2**10, "8kB": 2**13, "MB": 2**20, "16MB": 2**24, "GB": 2**30, "TB": 2**40}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}
_UNITS = _BYTES | _SECONDS

_SETTINGS = "select name, setting, unit, vartype from pg_settings where name = any($1)"


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the settings that this version of the server has."""
    for row in await session.rows(_SETTINGS, list(_METRICS)):
        value = number(row["setting"], row["unit"], row["vartype"])
        yield _METRICS[row["name"]].sample(value, server=session.server)


def number(setting: str, unit: str | None, kind: str) -> float:
    """Return a setting in bytes, seconds or as it is; negative numbers mean "not set" and stay."""
    if kind == "bool":
        return float(setting == "on")
    value = float(setting)
    return value if value < 0 or not unit else value * _UNITS[unit]
