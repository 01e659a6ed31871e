"""The write-ahead log, checkpoints, the background writer and the archiver."""

import sys
from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session, by_column, samples


def _metric(name: str, help: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, "counter", help, origin="postgres_exporter")


CHECKPOINTS_TIMED = _metric(
    "pg_stat_bgwriter_checkpoints_timed_total",
    "Checkpoints made because their time had come, before Postgres 17.",
)
CHECKPOINTS_REQ = _metric(
    "pg_stat_bgwriter_checkpoints_req_total",
    "Checkpoints made because the log had grown or somebody asked, before Postgres 17.",
)
CHECKPOINT_WRITE_TIME = _metric(
    "pg_stat_bgwriter_checkpoint_write_time_total",
    "Milliseconds that checkpoints spent writing, before Postgres 17.",
)
CHECKPOINT_SYNC_TIME = _metric(
    "pg_stat_bgwriter_checkpoint_sync_time_total",
    "Milliseconds that checkpoints spent waiting for the disk, before Postgres 17.",
)
BUFFERS_CHECKPOINT = _metric(
    "pg_stat_bgwriter_buffers_checkpoint_total", "Blocks written by checkpoints, before Postgres 17."
)
BUFFERS_BACKEND = _metric(
    "pg_stat_bgwriter_buffers_backend_total",
    "Blocks that sessions had to write themselves, before Postgres 17.",
)
BUFFERS_BACKEND_FSYNC = _metric(
    "pg_stat_bgwriter_buffers_backend_fsync_total",
    "Times that a session had to wait for the disk itself, before Postgres 17.",
)
BUFFERS_CLEAN = _metric("pg_stat_bgwriter_buffers_clean_total", "Blocks written by the background writer.")
MAXWRITTEN_CLEAN = _metric(
    "pg_stat_bgwriter_maxwritten_clean_total", "Times that the background writer stopped at its limit."
)
BUFFERS_ALLOC = _metric("pg_stat_bgwriter_buffers_alloc_total", "Blocks of the cache given out.")
BGWRITER_STATS_RESET = _metric(
    "pg_stat_bgwriter_stats_reset_total", "When these counters were last reset, as a Unix time; 0 if never."
)
NUM_TIMED = _metric(
    "pg_stat_checkpointer_num_timed_total", "Checkpoints made because their time had come, from Postgres 17."
)
NUM_REQUESTED = _metric(
    "pg_stat_checkpointer_num_requested_total",
    "Checkpoints made because the log had grown or somebody asked, from Postgres 17.",
)
RESTARTPOINTS_TIMED = _metric(
    "pg_stat_checkpointer_restartpoints_timed_total",
    "Restartpoints of a replica made because their time had come, from Postgres 17.",
)
RESTARTPOINTS_REQ = _metric(
    "pg_stat_checkpointer_restartpoints_req_total",
    "Restartpoints of a replica made on request, from Postgres 17.",
)
RESTARTPOINTS_DONE = _metric(
    "pg_stat_checkpointer_restartpoints_done_total",
    "Restartpoints that a replica finished, from Postgres 17.",
)
WRITE_TIME = _metric(
    "pg_stat_checkpointer_write_time_total", "Milliseconds that checkpoints spent writing, from Postgres 17."
)
SYNC_TIME = _metric(
    "pg_stat_checkpointer_sync_time_total",
    "Milliseconds that checkpoints spent waiting for the disk, from Postgres 17.",
)
BUFFERS_WRITTEN = _metric(
    "pg_stat_checkpointer_buffers_written_total", "Blocks written by checkpoints, from Postgres 17."
)
CHECKPOINTER_STATS_RESET = _metric(
    "pg_stat_checkpointer_stats_reset_total",
    "When these counters were last reset, as a Unix time; 0 if never, from Postgres 17.",
)
SEGMENTS = Metric(
    "pg_wal_segments", "gauge", "Files of the write-ahead log on disk.", origin="postgres_exporter"
)
SIZE = Metric(
    "pg_wal_size_bytes", "gauge", "Space of the write-ahead log on disk.", origin="postgres_exporter"
)
WRITTEN = Metric(
    "database_wal_written_bytes_total",
    "counter",
    "Write-ahead log that the server has ever written, or as a replica replayed.",
)
ARCHIVED_COUNT = Metric(
    "pg_stat_archiver_archived_count",
    "counter",
    "Files of the write-ahead log that were archived.",
    ("server",),
    origin="postgres_exporter",
)
FAILED_COUNT = Metric(
    "pg_stat_archiver_failed_count",
    "counter",
    "Tries to archive a file of the write-ahead log that failed.",
    ("server",),
    origin="postgres_exporter",
)
LAST_ARCHIVE_AGE = Metric(
    "pg_stat_archiver_last_archive_age",
    "gauge",
    "Seconds since a file was last archived; absent if none ever was.",
    ("server",),
    origin="postgres_exporter",
)

_BGWRITER = """
select buffers_clean as buffers_clean_total, maxwritten_clean as maxwritten_clean_total,
       buffers_alloc as buffers_alloc_total,
       coalesce(extract(epoch from stats_reset), 0)::float8 as stats_reset_total{more}
from pg_stat_bgwriter
"""
_BEFORE_17 = """,
       checkpoints_timed as checkpoints_timed_total, checkpoints_req as checkpoints_req_total,
       checkpoint_write_time as checkpoint_write_time_total,
       checkpoint_sync_time as checkpoint_sync_time_total,
       buffers_checkpoint as buffers_checkpoint_total, buffers_backend as buffers_backend_total,
       buffers_backend_fsync as buffers_backend_fsync_total
"""
_CHECKPOINTER = """
select num_timed as num_timed_total, num_requested as num_requested_total,
       restartpoints_timed as restartpoints_timed_total, restartpoints_req as restartpoints_req_total,
       restartpoints_done as restartpoints_done_total, write_time as write_time_total,
       sync_time as sync_time_total, buffers_written as buffers_written_total,
       coalesce(extract(epoch from stats_reset), 0)::float8 as stats_reset_total
from pg_stat_checkpointer
"""
_WAL = """
select count(*) as segments, coalesce(sum(size), 0) as size_bytes
from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'
"""
_POSITION = """
select ((case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)
        - '0/0')::float8 as position
"""
_ARCHIVER = """
select archived_count, failed_count,
       extract(epoch from now() - last_archived_time)::float8 as last_archive_age
from pg_stat_archiver
"""

_MODULE = sys.modules[__name__]
_BY_BGWRITER_COLUMN = by_column(_MODULE, "pg_stat_bgwriter_")
_BY_CHECKPOINTER_COLUMN = by_column(_MODULE, "pg_stat_checkpointer_")
_BY_WAL_COLUMN = by_column(_MODULE, "pg_wal_")
_BY_ARCHIVER_COLUMN = by_column(_MODULE, "pg_stat_archiver_")


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the counters; Postgres 17 moved those of checkpoints into a view of their own."""
    split = session.version >= 17
    for row in await session.rows(_BGWRITER.format(more="" if split else _BEFORE_17)):
        for sample in samples(row, _BY_BGWRITER_COLUMN):
            yield sample
    for row in await session.rows(_CHECKPOINTER) if split else ():
        for sample in samples(row, _BY_CHECKPOINTER_COLUMN):
            yield sample
    for row in await session.rows(_WAL):
        for sample in samples(row, _BY_WAL_COLUMN):
            yield sample
    for row in await session.rows(_POSITION):
        if row["position"] is not None:
            yield WRITTEN.sample(row["position"])
    for row in await session.rows(_ARCHIVER):
        for sample in samples(row, _BY_ARCHIVER_COLUMN, server=session.server):
            yield sample
