"""A replica's line to the server that it follows."""

import sys
from collections.abc import AsyncIterator

from exporter.catalog import Kind, Metric, Sample
from exporter.collectors.postgres._session import Session, by_column, samples

_LABELS = ("slot_name", "status", "upstream_host")


def _metric(name: str, kind: Kind, help: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, kind, help, _LABELS, origin="postgres_exporter")


START_LSN = _metric(
    "pg_stat_wal_receiver_receive_start_lsn", "counter", "Position at which the receiver began, in bytes."
)
START_TLI = _metric("pg_stat_wal_receiver_receive_start_tli", "gauge", "Timeline on which it began.")
FLUSHED_LSN = _metric(
    "pg_stat_wal_receiver_flushed_lsn", "counter", "Position received and safe on disk, in bytes."
)
RECEIVED_TLI = _metric("pg_stat_wal_receiver_received_tli", "gauge", "Timeline of that position.")
SEND_TIME = _metric(
    "pg_stat_wal_receiver_last_msg_send_time", "counter", "When the last message was sent, as a Unix time."
)
RECEIPT_TIME = _metric(
    "pg_stat_wal_receiver_last_msg_receipt_time", "counter", "When the last message came, as a Unix time."
)
END_LSN = _metric(
    "pg_stat_wal_receiver_latest_end_lsn", "counter", "Position last told to the sender, in bytes."
)
END_TIME = _metric("pg_stat_wal_receiver_latest_end_time", "counter", "When that was told, as a Unix time.")

# received_lsn was called so until Postgres 13 split it into what is written and what is flushed.
_RECEIVER = """
select coalesce(slot_name, '') as slot_name, status, coalesce(sender_host, '') as upstream_host,
       (receive_start_lsn - '0/0')::float8 as receive_start_lsn, receive_start_tli,
       ({flushed} - '0/0')::float8 as flushed_lsn, received_tli,
       extract(epoch from last_msg_send_time)::float8 as last_msg_send_time,
       extract(epoch from last_msg_receipt_time)::float8 as last_msg_receipt_time,
       (latest_end_lsn - '0/0')::float8 as latest_end_lsn,
       extract(epoch from latest_end_time)::float8 as latest_end_time
from pg_stat_wal_receiver
"""

_BY_COLUMN = by_column(sys.modules[__name__], "pg_stat_wal_receiver_")


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the state of the receiver; a primary has none."""
    flushed = "flushed_lsn" if session.version >= 13 else "received_lsn"
    for row in await session.rows(_RECEIVER.format(flushed=flushed)):
        for sample in samples(row, _BY_COLUMN, **{name: row[name] for name in _LABELS}):
            yield sample
