"""Replication: how far behind this server or its replicas are, and what slots hold back."""

from collections.abc import AsyncIterator

from exporter.catalog import Metric, Sample
from exporter.collectors.postgres._session import Session

IS_REPLICA = Metric(
    "pg_replication_is_replica",
    "gauge",
    "Whether the server is a replica: 1 or 0.",
    origin="postgres_exporter",
)
LAG = Metric(
    "pg_replication_lag_seconds",
    "gauge",
    "Seconds that this replica is behind in what it has received; 0 on a primary.",
    origin="postgres_exporter",
)
LAST_REPLAY = Metric(
    "pg_replication_last_replay_seconds",
    "gauge",
    "Seconds since the replica replayed a transaction; 0 on a primary.",
    origin="postgres_exporter",
)
_SLOT = ("slot_name", "slot_type")
SLOT_IS_ACTIVE = Metric(
    "pg_replication_slot_slot_is_active",
    "gauge",
    "Whether somebody reads from the slot: 1 or 0.",
    _SLOT,
    origin="postgres_exporter",
)
SLOT_CURRENT_WAL = Metric(
    "pg_replication_slot_slot_current_wal_lsn",
    "gauge",
    "Position that the server writes or replays, as bytes since the first.",
    _SLOT,
    origin="postgres_exporter",
)
SLOT_SAFE_WAL_SIZE = Metric(
    "pg_replication_slot_safe_wal_size_bytes",
    "gauge",
    "Bytes that can be written before the slot loses data; absent without a limit.",
    _SLOT,
    origin="postgres_exporter",
)
SLOT_WAL_STATUS = Metric(
    "pg_replication_slot_wal_status",
    "gauge",
    "Always 1; the label says whether the log that the slot needs is still there.",
    (*_SLOT, "wal_status"),
    origin="postgres_exporter",
)
SLOT_CONFIRMED = Metric(
    "pg_replication_slot_slot_confirmed_flush_lsn",
    "gauge",
    "Position up to which the slot's reader has taken everything; 0 for a physical slot that is read.",
    _SLOT,
    origin="postgres_exporter",
)
_LEGACY_SLOT = ("database", "server", "slot_name")
SLOTS_ACTIVE = Metric(
    "pg_replication_slots_active",
    "gauge",
    "Whether somebody reads from the slot: 1 or 0; with the labels of older boards.",
    _LEGACY_SLOT,
    origin="postgres_exporter",
)
SLOTS_LAG = Metric(
    "pg_replication_slots_pg_wal_lsn_diff",
    "gauge",
    "Write-ahead log in bytes that the slot keeps from being removed; with the labels of older boards.",
    _LEGACY_SLOT,
    origin="postgres_exporter",
)
SLOT_RETAINED = Metric(
    "database_replication_slot_retained_bytes",
    "gauge",
    "Write-ahead log that the slot keeps from being removed.",
    ("slot",),
)
REPLICA_LAG_SECONDS = Metric(
    "database_replica_lag_seconds",
    "gauge",
    "Time from a commit here to its replay on a connected replica; absent while there is nothing to replay.",
    ("replica",),
)
REPLICAS = Metric("database_replicas", "gauge", "Replicas and base backups connected, by state.", ("state",))
REPLICA_LAG_BYTES = Metric(
    "database_replica_lag_bytes",
    "gauge",
    "Write-ahead log that a connected replica has not replayed yet, by the name it connects with.",
    ("replica",),
)

_STATE = """
select pg_is_in_recovery() as is_replica,
       case when not pg_is_in_recovery() or pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
            else greatest(0, extract(epoch from now() - pg_last_xact_replay_timestamp()))
       end::float8 as lag,
       greatest(0, extract(epoch from now() - pg_last_xact_replay_timestamp()))::float8 as last_replay
"""

_POSITION = "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end"
# safe_wal_size and wal_status came with Postgres 13.
_SLOTS = f"""
select slot_name::text, slot_type, active::int, coalesce(database::text, '') as database,
       pg_wal_lsn_diff({_POSITION}, '0/0')::float8 as position,
       pg_wal_lsn_diff({_POSITION}, restart_lsn)::float8 as retained,
       (confirmed_flush_lsn - '0/0')::float8 as confirmed,
       {{status}}
from pg_replication_slots
"""  # noqa: S608 - built from constants
_REPLICAS = f"""
select application_name as replica, max(pg_wal_lsn_diff({_POSITION}, replay_lsn))::float8 as lag,
       max(extract(epoch from replay_lag))::float8 as seconds
from pg_stat_replication where replay_lsn is not null group by 1
"""  # noqa: S608 - built from constants
_STATES = """
select s.state, count(r.pid) as count
from unnest(array['startup', 'catchup', 'streaming', 'backup', 'stopping']) as s (state)
left join pg_stat_replication r using (state)
group by 1
"""


async def read(session: Session) -> AsyncIterator[Sample]:
    """Yield the server's own state, its slots and its replicas."""
    for row in await session.rows(_STATE):
        yield IS_REPLICA.sample(row["is_replica"])
        yield LAG.sample(row["lag"] or 0)
        yield LAST_REPLAY.sample(row["last_replay"] or 0)
    known = session.version >= 13
    status = "wal_status, safe_wal_size" if known else "null as wal_status, null as safe_wal_size"
    for row in await session.rows(_SLOTS.format(status=status)):
        slot = {"slot_name": row["slot_name"], "slot_type": row["slot_type"]}
        yield SLOT_IS_ACTIVE.sample(row["active"], **slot)
        yield SLOT_CURRENT_WAL.sample(row["position"], **slot)
        if row["active"]:
            yield SLOT_CONFIRMED.sample(row["confirmed"] or 0, **slot)
        legacy = {"slot_name": row["slot_name"], "database": row["database"], "server": session.server}
        yield SLOTS_ACTIVE.sample(row["active"], **legacy)
        if row["retained"] is not None:  # a slot that has never been used holds nothing
            yield SLOT_RETAINED.sample(row["retained"], slot=row["slot_name"])
            yield SLOTS_LAG.sample(row["retained"], **legacy)
        if row["safe_wal_size"] is not None:
            yield SLOT_SAFE_WAL_SIZE.sample(row["safe_wal_size"], **slot)
        if row["wal_status"] is not None:
            yield SLOT_WAL_STATUS.sample(1, **slot, wal_status=row["wal_status"])
    for row in await session.rows(_REPLICAS):
        yield REPLICA_LAG_BYTES.sample(row["lag"], replica=row["replica"])
        if row["seconds"] is not None:
            yield REPLICA_LAG_SECONDS.sample(row["seconds"], replica=row["replica"])
    for row in await session.rows(_STATES):
        yield REPLICAS.sample(row["count"], state=row["state"])
